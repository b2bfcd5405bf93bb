//! Whose a request or a prompt is: which of a call's programs, and its number there.

/// Who has something fetched, or lets something be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The call's own instructions.
    Own,
    /// A question beside the instructions.
    Aside,
    /// What is meant for this caller alone.
    Whisper,
    /// A track that is mixed in.
    Track,
    /// The beep before a stream.
    Beep,
    /// Nobody: it is only told, and its answer is ignored.
    Nobody,
    /// What is heard while the instructions wait, by its number.
    Interlude(u32),
}

/// Numbers of programs that there may be several of begin here.
const SEVERAL: u32 = 16;

impl Program {
    fn code(self) -> u32 {
        match self {
            Self::Own => 0,
            Self::Aside => 1,
            Self::Whisper => 2,
            Self::Track => 3,
            Self::Beep => 4,
            Self::Nobody => 5,
            Self::Interlude(number) => number.saturating_add(SEVERAL),
        }
    }

    fn of_code(code: u32) -> Self {
        match code {
            0 => Self::Own,
            1 => Self::Aside,
            2 => Self::Whisper,
            3 => Self::Track,
            4 => Self::Beep,
            _ => code.checked_sub(SEVERAL).map_or(Self::Nobody, Self::Interlude),
        }
    }
}

/// A request of one of a call's programs, or prompts of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Whose.
    pub program: Program,
    /// The program's number of it.
    pub number: u64,
}

impl Asked {
    /// What nobody waits for the answer to.
    pub const NOBODY: Self = Self { program: Program::Nobody, number: 0 };

    /// By the call's own instructions.
    pub fn own(number: u64) -> Self {
        Self { program: Program::Own, number }
    }

    /// Both in one number, of which the request's own has the lower half.
    pub fn packed(self) -> u64 {
        u64::from(self.program.code()) << 32 | self.number & u64::from(u32::MAX)
    }

    pub fn unpacked(packed: u64) -> Self {
        let code = u32::try_from(packed >> 32).unwrap_or(u32::MAX);
        Self { program: Program::of_code(code), number: packed & u64::from(u32::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_programs_have_one_number_and_each_comes_back_as_it_was() {
        use Program as P;
        let single = [P::Own, P::Aside, P::Whisper, P::Track, P::Beep, P::Nobody];
        let interludes = [0, 1, 2, 5, 6, 15, 16, 17, 4_000_000_000].map(P::Interlude);
        let programs: Vec<_> = single.into_iter().chain(interludes).collect();
        let packed: std::collections::BTreeSet<_> =
            programs.iter().map(|program| Asked { program: *program, number: 1 }.packed()).collect();
        assert_eq!(packed.len(), programs.len());
        for program in programs {
            for number in [0, 1, u64::from(u32::MAX)] {
                let asked = Asked { program, number };
                assert_eq!(Asked::unpacked(asked.packed()), asked);
            }
        }
    }
}
