//! Deliberate faults. The hearing suite must fail under each; without the feature `mutations` they do not exist.

/// One deliberate fault in the way a plan is applied or mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutation {
    /// A new plan is confirmed at once but used one tick later.
    StalePlan = 1,
    /// Sources change at one tick, listeners at the next.
    PlanInTwoHalves,
    /// A listener hears itself.
    SelfNotSubtracted,
    /// A slab place is used without looking at its generation.
    SlotReused,
    /// Encoded mixes live on into the next room and tick.
    BusCacheNotInvalidated,
    /// A widened source is heard from its buffered packets on.
    WideningNotDelayed,
    /// A private player is encoded for everyone with the same buses.
    PrivatePlayerShared,
    /// A leg in the room that no plan names hears the first listener's buses.
    UnplannedLegHears,
    /// A tap hears every bus, whatever the plan says.
    TapHearsAll,
    /// Who ceases to hear the same as others goes on with their encoder until their mixes differ.
    PartingIgnored,
    /// A stream begins with an encoder that still remembers.
    ResetSkipped,
    /// A decoder that others than before hear is not renewed.
    DecoderNotFenced,
    /// The end of a sound that comes out of a resampler counts as new as the frame it comes in.
    TailCountsAsNew,
    /// What a transport brings after a change counts as arrived after it.
    PathTakenAsNew,
}

#[cfg(feature = "mutations")]
impl Mutation {
    /// Every mutation, for suites that go through them.
    pub const ALL: [Self; 8] = [
        Self::StalePlan,
        Self::PlanInTwoHalves,
        Self::SelfNotSubtracted,
        Self::SlotReused,
        Self::BusCacheNotInvalidated,
        Self::WideningNotDelayed,
        Self::PrivatePlayerShared,
        Self::UnplannedLegHears,
    ];

    /// Those that no phone can hear, only the reader of a tap.
    pub const OF_TAPS: [Self; 1] = [Self::TapHearsAll];

    /// Those that only wide legs have: shared encoders, decoders with memory, resamplers, paths.
    pub const OF_WIDE: [Self; 5] =
        [Self::PartingIgnored, Self::ResetSkipped, Self::DecoderNotFenced, Self::TailCountsAsNew, Self::PathTakenAsNew];
}

#[cfg(feature = "mutations")]
static ACTIVE: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Switches one mutation on for the whole process, or all off.
#[cfg(feature = "mutations")]
pub fn set(mutation: Option<Mutation>) {
    ACTIVE.store(mutation.map_or(0, |m| m as u8), std::sync::atomic::Ordering::SeqCst);
}

#[cfg(feature = "mutations")]
#[inline]
pub(crate) fn active(mutation: Mutation) -> bool {
    ACTIVE.load(std::sync::atomic::Ordering::Relaxed) == mutation as u8
}

#[cfg(not(feature = "mutations"))]
#[inline]
pub(crate) const fn active(_mutation: Mutation) -> bool {
    false
}
