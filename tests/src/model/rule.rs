//! Who hears whom, stated once more: plain structs, strings and flags, written from the design's text and not from the
//! product's code. Where both agree over thousands of histories, a fault would have to be made twice.

/// Whom a microphone or a player permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ears {
    /// All listeners.
    All,
    /// Whoever one of these describes.
    Only(Vec<Who>),
}

/// One description of listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Carries this free tag, or has a role of this name.
    Tag(String),
    /// Has this role, or a free tag of its name; `supervisor` also means whoever whispers and is no customer.
    Role(String),
    /// The person of this number.
    Person(u32),
    /// The tap of this number.
    Tap(u32),
}

/// What a tap is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// All it may hear.
    Mix,
    /// One person's voice.
    Voice(u32),
    /// All it may hear, whispers left out.
    Public,
    /// What this person hears of the room, whispers left out.
    EarOf(u32),
}

/// Somebody in a house.
#[derive(Clone, Debug)]
pub struct Person {
    /// From 1, never used again.
    pub number: u32,
    /// `agent`, `supervisor`, `customer`, or none.
    pub role: Option<String>,
    /// The free tag.
    pub tag: Option<String>,
    /// Whom he speaks to while he coaches.
    pub confidants: Ears,
    /// Coaches.
    pub coaching: bool,
    /// Muted.
    pub muted: bool,
    /// On hold by his own.
    pub held: bool,
    /// Deaf.
    pub deaf: bool,
    /// The house ends when he goes.
    pub ends: bool,
    /// The house starts when he comes.
    pub starts: bool,
    /// In, and takes no part yet.
    pub preparing: bool,
    /// When the house ends, should it end by his going (ms); `None`: at once.
    pub put_off: Option<u64>,
}

impl Person {
    fn is(&self, role: &str) -> bool {
        self.role.as_deref() == Some(role)
    }

    fn carries(&self, tag: &str) -> bool {
        self.tag.as_deref() == Some(tag)
    }

    fn whispers(&self) -> bool {
        self.coaching && self.confidants != Ears::All
    }

    fn serves(&self) -> bool {
        self.is("agent") || self.carries("agent")
    }
}

/// A listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens {
    /// A person's ear.
    Ear(u32),
    /// A tap.
    Tap(u32),
}

/// What sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sounds {
    /// A person's voice.
    Voice(u32),
    /// A player for the room.
    Player(u32),
    /// Somebody who is being called and has not answered.
    Ringing(u32),
}

/// What one person alone hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Music {
    /// He waits, or is alone.
    Wait,
    /// He is on hold.
    Hold,
}

/// A supervisor's modes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stance {
    /// Muted, coaching.
    Monitor,
    /// Unmuted, coaching.
    Whisper,
    /// Unmuted, for all.
    Barge,
    /// Barge; these (or all) agents are set aside.
    Takeover(Option<Vec<u32>>),
    /// Ends a takeover, then monitor.
    Stop,
}

/// The command was refused and nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// A room as the design describes it.
#[derive(Clone, Debug)]
pub struct House {
    /// People in the order in which they came.
    pub people: Vec<Person>,
    /// Players by number.
    pub players: Vec<(u32, Ears)>,
    /// Taps by number.
    pub taps: Vec<(u32, Want)>,
    /// Who is being called and sounds already, by number.
    pub ringing: Vec<u32>,
    /// When it ends because of who has gone, ms.
    pub ends_at: Option<u64>,
    /// Whoever is in is connected.
    pub started: bool,
    /// Over.
    pub ended: bool,
    /// Who took over, and whom he set aside (`None`: all agents).
    pub takeover: Option<(u32, Option<Vec<u32>>)>,
    wait_for: Option<String>,
    stay_alone: bool,
    start_asked: bool,
    company: bool,
    numbers: [u32; 4],
}

impl House {
    /// An empty one. `wait_for`: a role without which it does not start.
    #[must_use]
    pub fn new(wait_for: Option<&str>, stay_alone: bool) -> Self {
        Self {
            people: Vec::new(),
            players: Vec::new(),
            taps: Vec::new(),
            ringing: Vec::new(),
            ends_at: None,
            started: false,
            ended: false,
            takeover: None,
            wait_for: wait_for.map(str::to_owned),
            stay_alone,
            start_asked: false,
            company: false,
            numbers: [0; 4],
        }
    }

    /// A person by number.
    #[must_use]
    pub fn person(&self, number: u32) -> Option<&Person> {
        self.people.iter().find(|p| p.number == number)
    }

    /// Whether a takeover sets this person aside.
    #[must_use]
    pub fn is_aside(&self, person: &Person) -> bool {
        match &self.takeover {
            None => false,
            Some((by, _)) if *by == person.number => false,
            Some((_, None)) => person.serves(),
            Some((_, Some(these))) => these.contains(&person.number),
        }
    }

    /// On hold, for whatever reason.
    #[must_use]
    pub fn is_held(&self, person: &Person) -> bool {
        person.held || self.is_aside(person)
    }

    /// In, connected, and not preparing.
    #[must_use]
    pub fn takes_part(&self, person: &Person) -> bool {
        self.started && !self.ended && !person.preparing
    }

    /// What this person alone hears.
    #[must_use]
    pub fn music(&self, person: &Person) -> Option<Music> {
        let lonely = !self.started || self.people.len() == 1;
        match (self.is_held(person), person.preparing, lonely) {
            (true, ..) => Some(Music::Hold),
            (false, false, true) => Some(Music::Wait),
            _ => None,
        }
    }

    /// The rule.
    #[must_use]
    pub fn hears(&self, listener: Listens, source: Sounds) -> bool {
        if let Sounds::Ringing(number) = source {
            let Listens::Ear(ear) = listener else { return false };
            let waits = |p: &Person| !p.deaf && self.music(p) == Some(Music::Wait);
            return self.ringing.contains(&number) && self.person(ear).is_some_and(waits);
        }
        if self.ended || !self.can_listen(listener) {
            return false;
        }
        let (permits, whisper) = match source {
            Sounds::Voice(number) => {
                if listener == Listens::Ear(number) {
                    return false;
                }
                let Some(speaker) = self.person(number) else { return false };
                if !self.takes_part(speaker) || speaker.muted || self.is_held(speaker) {
                    return false;
                }
                if speaker.coaching { (&speaker.confidants, speaker.whispers()) } else { (&Ears::All, false) }
            }
            Sounds::Player(number) => {
                let Some((_, ears)) = self.players.iter().find(|(n, _)| *n == number) else { return false };
                (ears, *ears != Ears::All)
            }
            Sounds::Ringing(_) => return false,
        };
        self.permitted(permits, listener) && self.wanted(listener, source, whisper)
    }

    fn can_listen(&self, listener: Listens) -> bool {
        match listener {
            Listens::Tap(number) => self.taps.iter().any(|(n, _)| *n == number),
            Listens::Ear(number) => {
                self.person(number).is_some_and(|p| self.takes_part(p) && !p.deaf && !self.is_held(p))
            }
        }
    }

    fn permitted(&self, ears: &Ears, listener: Listens) -> bool {
        let Ears::Only(list) = ears else { return true };
        for who in list {
            let person = match listener {
                Listens::Ear(number) => self.person(number),
                Listens::Tap(_) => None,
            };
            let matches = match (who, person) {
                (Who::Tap(number), None) => listener == Listens::Tap(*number),
                (Who::Person(number), Some(p)) => p.number == *number,
                (Who::Tag(tag), Some(p)) => p.carries(tag) || p.is(tag),
                (Who::Role(role), Some(p)) => {
                    let coaches = role == "supervisor" && p.whispers() && !p.is("customer");
                    p.is(role) || p.carries(role) || coaches
                }
                _ => false,
            };
            if matches {
                return true;
            }
        }
        false
    }

    fn wanted(&self, listener: Listens, source: Sounds, whisper: bool) -> bool {
        let Listens::Tap(number) = listener else { return true };
        match self.taps.iter().find(|(n, _)| *n == number) {
            None => false,
            Some((_, Want::Mix)) => true,
            Some((_, Want::Voice(person))) => source == Sounds::Voice(*person),
            Some((_, Want::Public)) => !whisper,
            Some((_, Want::EarOf(person))) => !whisper && self.hears(Listens::Ear(*person), source),
        }
    }

    fn open(&self) -> Result<(), Refused> {
        if self.ended { Err(Refused) } else { Ok(()) }
    }

    fn change(&mut self, number: u32) -> Result<&mut Person, Refused> {
        self.open()?;
        self.people.iter_mut().find(|p| p.number == number).ok_or(Refused)
    }

    fn number(&mut self, of: usize) -> u32 {
        self.numbers[of] += 1;
        self.numbers[of]
    }

    /// Somebody comes in with all his rules; his number is filled in.
    ///
    /// # Errors
    /// The house is over.
    pub fn come(&mut self, mut person: Person) -> Result<u32, Refused> {
        self.open()?;
        person.number = self.number(0);
        self.start_asked |= person.starts;
        let number = person.number;
        self.people.push(person);
        self.company |= self.people.len() >= 2;
        let ready = self.wait_for.as_deref().is_none_or(|role| self.people.iter().any(|p| p.is(role)));
        self.started |= self.start_asked && ready;
        Ok(number)
    }

    /// Somebody goes.
    ///
    /// # Errors
    /// He is not in.
    pub fn go(&mut self, number: u32) -> Result<(), Refused> {
        let person = self.change(number)?.clone();
        let mut over = person.ends && !self.is_aside(&person);
        if matches!(&self.takeover, Some((by, _)) if *by == number) {
            // He gives the call back first, and with it the duties he took.
            self.takeover = None;
            over = person.ends;
        }
        self.people.retain(|p| p.number != number);
        if let (true, Some(until)) = (over, person.put_off) {
            over = false;
            if self.ends_at.is_none_or(|at| until < at) {
                self.ends_at = Some(until);
            }
        }
        let left = self.people.len();
        if over || left == 0 || (left == 1 && self.company && !self.stay_alone) {
            self.end()?;
        }
        Ok(())
    }

    /// He takes part from now on.
    ///
    /// # Errors
    /// Nobody of that number.
    pub fn admit(&mut self, number: u32) -> Result<(), Refused> {
        self.change(number)?.preparing = false;
        Ok(())
    }

    /// Should it end by his going, it ends then.
    ///
    /// # Errors
    /// Nobody of that number.
    pub fn put_off(&mut self, number: u32, until: u64) -> Result<(), Refused> {
        self.change(number)?.put_off = Some(until);
        Ok(())
    }

    /// It is `now` o'clock (ms).
    pub fn pass(&mut self, now: u64) {
        if self.ends_at.is_some_and(|at| at <= now) {
            let _ = self.end();
        }
    }

    /// A program starts it.
    ///
    /// # Errors
    /// It is over.
    pub fn start(&mut self) -> Result<(), Refused> {
        self.open()?;
        self.start_asked = true;
        self.started = true;
        Ok(())
    }

    /// It is over for all.
    ///
    /// # Errors
    /// It was over before.
    pub fn end(&mut self) -> Result<(), Refused> {
        self.open()?;
        self.ended = true;
        self.people.clear();
        self.players.clear();
        self.taps.clear();
        self.ringing.clear();
        self.ends_at = None;
        self.takeover = None;
        Ok(())
    }

    /// Mute.
    ///
    /// # Errors
    /// Nobody of that number.
    pub fn mute(&mut self, number: u32, on: bool) -> Result<(), Refused> {
        self.change(number)?.muted = on;
        Ok(())
    }

    /// Hold. During a takeover it counts for afterwards.
    ///
    /// # Errors
    /// Nobody of that number.
    pub fn hold(&mut self, number: u32, on: bool) -> Result<(), Refused> {
        self.change(number)?.held = on;
        Ok(())
    }

    /// Deafness.
    ///
    /// # Errors
    /// Nobody of that number.
    pub fn deafen(&mut self, number: u32, on: bool) -> Result<(), Refused> {
        self.change(number)?.deaf = on;
        Ok(())
    }

    /// Coaching, to new confidants or to those of before.
    ///
    /// # Errors
    /// Nobody of that number.
    pub fn coach(&mut self, number: u32, on: bool, confidants: Option<Ears>) -> Result<(), Refused> {
        let person = self.change(number)?;
        person.coaching = on;
        if let Some(confidants) = confidants {
            person.confidants = confidants;
        }
        Ok(())
    }

    /// The free tag.
    ///
    /// # Errors
    /// Nobody of that number.
    pub fn tag(&mut self, number: u32, tag: Option<&str>) -> Result<(), Refused> {
        self.change(number)?.tag = tag.map(str::to_owned);
        Ok(())
    }

    /// A mode.
    ///
    /// # Errors
    /// Nobody of that number, an agent or a customer, another has taken over, or somebody named is no agent.
    pub fn stance(&mut self, number: u32, stance: &Stance) -> Result<(), Refused> {
        let person = self.change(number)?;
        if person.role.is_some() && !person.is("supervisor") {
            return Err(Refused);
        }
        let holds_it = self.takeover.as_ref().map(|(by, _)| *by);
        if let Stance::Takeover(agents) = stance {
            if holds_it.is_some_and(|by| by != number) {
                return Err(Refused);
            }
            for agent in agents.iter().flatten() {
                let agent = self.person(*agent).ok_or(Refused)?;
                if agent.number == number || !agent.serves() {
                    return Err(Refused);
                }
            }
            self.takeover = Some((number, agents.clone()));
        } else if holds_it == Some(number) {
            self.takeover = None;
        }
        let (muted, coaching) = match stance {
            Stance::Monitor | Stance::Stop => (true, true),
            Stance::Whisper => (false, true),
            Stance::Barge | Stance::Takeover(_) => (false, false),
        };
        let person = self.change(number)?;
        (person.muted, person.coaching) = (muted, coaching);
        Ok(())
    }

    /// A player.
    ///
    /// # Errors
    /// It is over.
    pub fn add_player(&mut self, ears: Ears) -> Result<u32, Refused> {
        self.open()?;
        let number = self.number(1);
        self.players.push((number, ears));
        Ok(number)
    }

    /// A player goes.
    pub fn remove_player(&mut self, number: u32) {
        self.players.retain(|(n, _)| *n != number);
    }

    /// A tap.
    ///
    /// # Errors
    /// It is over.
    pub fn add_tap(&mut self, want: Want) -> Result<u32, Refused> {
        self.open()?;
        let number = self.number(2);
        self.taps.push((number, want));
        Ok(number)
    }

    /// Somebody is being called and sounds already.
    ///
    /// # Errors
    /// It is over.
    pub fn add_ringing(&mut self) -> Result<u32, Refused> {
        self.open()?;
        let number = self.number(3);
        self.ringing.push(number);
        Ok(number)
    }

    /// He has answered, or never will.
    pub fn remove_ringing(&mut self, number: u32) {
        self.ringing.retain(|n| *n != number);
    }

    /// A tap goes.
    pub fn remove_tap(&mut self, number: u32) {
        self.taps.retain(|(n, _)| *n != number);
    }
}
