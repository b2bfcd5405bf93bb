//! Broken variants of the rules of hearing and of the end. Without the feature `mutations` none can be switched on and the checks compile
//! to nothing; with it, the hearing suite switches each on in turn and must notice.

/// One way to break the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// A member hears itself.
    OwnMicrophone,
    /// Listeners who wait hear.
    WaitingListener,
    /// Listeners on hold hear.
    HeldListener,
    /// Deaf listeners hear.
    DeafListener,
    /// Members who wait are heard.
    WaitingSource,
    /// Members who are not prepared hear.
    PreparingListener,
    /// Members who are not prepared are heard.
    PreparingSource,
    /// Muted members are heard.
    MutedSource,
    /// Members on hold are heard.
    HeldSource,
    /// The audience of a source is not asked for.
    Audience,
    /// What a listener is for is not asked for.
    Wants,
    /// A tag matches every tagged listener.
    WidenTag,
    /// A role matches every listener with a role.
    WidenRole,
    /// A member id matches every member.
    WidenMember,
    /// A tap id matches every tap.
    WidenTap,
    /// Nobody means everyone.
    WidenNobody,
    /// A free tag is ignored where a role is asked for.
    RoleIgnoresTag,
    /// A role is ignored where a tag is asked for.
    TagIgnoresRole,
    /// Whoever whispers is no supervisor.
    WhisperersNoSupervisors,
    /// A customer who whispers is a supervisor.
    CustomersSupervise,
    /// A takeover holds nobody.
    TakeoverHoldsNobody,
    /// What a callee says before his answer is heard by members who do not hear ringback.
    EarlyInCompany,
    /// The same by deaf members.
    EarlyForTheDeaf,
    /// The same by taps.
    EarlyForTaps,
    /// Members who are not prepared hear wait music, and ringback.
    PreparingMusic,
    /// A tap of an ear hears the microphone that belongs to it.
    EarOfOwnVoice,
    /// A tap of an ear hears though the ear does not listen.
    EarOfClosedEar,
    /// A tap of an ear hears the whispers that permit it.
    EarOfWhispers,
    /// Of several who put the end off, the last decides when it is.
    EndProlonged,
}

impl Mutation {
    /// Every one of them, for the suite's list.
    pub const ALL: [Self; 29] = [
        Self::OwnMicrophone,
        Self::WaitingListener,
        Self::HeldListener,
        Self::DeafListener,
        Self::WaitingSource,
        Self::PreparingListener,
        Self::PreparingSource,
        Self::MutedSource,
        Self::HeldSource,
        Self::Audience,
        Self::Wants,
        Self::WidenTag,
        Self::WidenRole,
        Self::WidenMember,
        Self::WidenTap,
        Self::WidenNobody,
        Self::RoleIgnoresTag,
        Self::TagIgnoresRole,
        Self::WhisperersNoSupervisors,
        Self::CustomersSupervise,
        Self::TakeoverHoldsNobody,
        Self::EarlyInCompany,
        Self::EarlyForTheDeaf,
        Self::EarlyForTaps,
        Self::PreparingMusic,
        Self::EarOfOwnVoice,
        Self::EarOfClosedEar,
        Self::EarOfWhispers,
        Self::EndProlonged,
    ];
}

#[cfg(feature = "mutations")]
mod switch {
    use super::Mutation;
    use std::cell::Cell;

    thread_local!(static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) });

    /// Switches one mutation on for this thread, or all off.
    pub fn set(mutation: Option<Mutation>) {
        ACTIVE.set(mutation);
    }

    pub(crate) fn is(mutation: Mutation) -> bool {
        ACTIVE.get() == Some(mutation)
    }
}

#[cfg(feature = "mutations")]
pub(crate) use switch::is;
#[cfg(feature = "mutations")]
pub use switch::set;

#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub(crate) const fn is(_: Mutation) -> bool {
    false
}
