mod behaviour;
mod delay;
mod network;
mod pauses;
mod privacy;
mod robust;
