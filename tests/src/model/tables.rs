//! The tables of both dialects, as their documents print them. The rule must give the same answers in each one's words.

/// A member in Plivo's words.
#[derive(Clone, Copy, Debug)]
pub struct PlivoMember {
    /// `Agent`, `Supervisor` or `Customer`.
    pub role: &'static str,
    /// Counts for supervisors alone.
    pub coach_mode: bool,
    /// Heard by nobody, still hears.
    pub mute: bool,
    /// Muted, and hears hold music in place of the mix.
    pub hold: bool,
}

/// The audio matrix of a multiparty call.
#[must_use]
pub fn plivo(listener: PlivoMember, speaker: PlivoMember) -> bool {
    if speaker.mute || speaker.hold || listener.hold {
        return false;
    }
    match (speaker.role, speaker.coach_mode, listener.role) {
        ("Supervisor", true, "Agent") => true,
        ("Supervisor", true, "Customer") => false,
        ("Supervisor", true, "Supervisor") => true,
        _ => true,
    }
}

/// A member in jambonz' words.
#[derive(Clone, Copy, Debug)]
pub struct JambonzMember {
    /// `memberTag`.
    pub tag: Option<&'static str>,
    /// `speakOnlyTo`.
    pub speak_only_to: Option<&'static str>,
    /// Muted.
    pub muted: bool,
    /// On hold: mute and deaf.
    pub held: bool,
    /// Deaf.
    pub deaf: bool,
}

/// The formula for conferences.
#[must_use]
pub fn jambonz(listener: JambonzMember, speaker: JambonzMember) -> bool {
    let reaches = match speaker.speak_only_to {
        None => true,
        Some(wanted) => listener.tag == Some(wanted),
    };
    !speaker.muted && !speaker.held && !listener.deaf && !listener.held && reaches
}
