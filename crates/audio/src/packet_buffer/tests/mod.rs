mod behaviour;
mod cost;
mod delay;
mod network;
mod pauses;
mod privacy;
mod robust;
