//! Why calls, rooms and stays end, in Plivo's codes and names.

use call::cause::{FaultAt, FaultKind, HangupCause, HangupSource, InstructionsFault};
use call::dialect::{CallState, CallView};
use conference::{EndCause, LeaveCause};

/// An ended call as Plivo tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HangupWords {
    /// `HangupCauseCode`.
    pub code: u16,
    /// `HangupCauseName`.
    pub name: &'static str,
    /// `HangupSource`.
    pub source: &'static str,
    /// `HangupCause`: the older, telephone-network name.
    pub network: &'static str,
}

const fn words(code: u16, name: &'static str, source: &'static str, network: &'static str) -> HangupWords {
    HangupWords { code, name, source, network }
}

/// How Plivo would have told this end.
pub(crate) fn hangup(cause: &HangupCause) -> HangupWords {
    match cause {
        HangupCause::Normal(source) => words(4000, "Normal Hangup", source_name(*source), "NORMAL_CLEARING"),
        HangupCause::Cancelled => words(1000, "Canceled", "Caller", "ORIGINATOR_CANCEL"),
        HangupCause::EndOfInstructions => words(4010, "End Of XML Instructions", "Plivo", "NORMAL_CLEARING"),
        HangupCause::Instructed => words(4000, "Normal Hangup", "Answer XML", "NORMAL_CLEARING"),
        HangupCause::Scheduled => words(6000, "Scheduled Hangup", "Plivo", "ALLOTTED_TIMEOUT"),
        HangupCause::Requested => words(4000, "Normal Hangup", "API Request", "NORMAL_CLEARING"),
        HangupCause::RoomEnded => words(4020, "Multiparty Call Ended", "Plivo", "NORMAL_CLEARING"),
        HangupCause::Kicked => words(4030, "Kicked Out Of Multiparty Call", "API Request", "NORMAL_CLEARING"),
        HangupCause::KeyLost => words(4030, "Kicked Out Of Multiparty Call", "Plivo", "NORMAL_CLEARING"),
        HangupCause::LostRace => words(9000, "Lost Race", "Plivo", "LOSE_RACE"),
        HangupCause::NotConfirmed => words(9110, "Confirm Key Challenge Failed", "Plivo", "NORMAL_CLEARING"),
        HangupCause::RingTimeout => words(6010, "Ring Timeout Reached", "Plivo", "NO_ANSWER"),
        HangupCause::NoAnswer => words(3000, "No Answer", "Carrier", "NO_ANSWER"),
        HangupCause::Busy => words(3010, "Busy Line", "Callee", "USER_BUSY"),
        HangupCause::Rejected => words(3020, "Rejected", "Callee", "CALL_REJECTED"),
        HangupCause::NotRegistered => words(2020, "Endpoint Not Registered", "Plivo", "USER_NOT_REGISTERED"),
        HangupCause::NoRoute => words(2000, "Invalid Destination Address", "Plivo", "NO_ROUTE_DESTINATION"),
        HangupCause::Incompatible => words(5020, "Routing Error", "Error", "INCOMPATIBLE_DESTINATION"),
        HangupCause::MediaTimeout => words(6020, "Media Timeout", "Plivo", "MEDIA_TIMEOUT"),
        HangupCause::MaxDuration => words(6000, "Scheduled Hangup", "Plivo", "ALLOTTED_TIMEOUT"),
        HangupCause::NetworkFailure => words(5000, "Network Error", "Error", "NETWORK_OUT_OF_ORDER"),
        HangupCause::Overloaded => words(5010, "Internal Error", "Error", "SWITCH_CONGESTION"),
        HangupCause::Instructions(fault) => instructions(*fault),
        HangupCause::Restart => words(5010, "Internal Error", "Error", "RECOVERY_ON_TIMER_EXPIRE"),
        HangupCause::Shutdown => words(5010, "Internal Error", "Plivo", "MANAGER_REQUEST"),
        HangupCause::RoomRefused => words(4020, "Multiparty Call Ended", "Plivo", "NORMAL_CLEARING"),
    }
}

const fn source_name(source: HangupSource) -> &'static str {
    match source {
        HangupSource::Caller => "Caller",
        HangupSource::Callee => "Callee",
        HangupSource::Server => "Plivo",
    }
}

fn instructions(fault: InstructionsFault) -> HangupWords {
    let (code, name) = match (fault.kind, fault.at) {
        // Plivo has no codes for a bad answer URL or method.
        (FaultKind::Http | FaultKind::Url, FaultAt::Answer) => (7011, "Error Reaching Answer URL"),
        (FaultKind::Http, FaultAt::Action) => (7012, "Error Reaching Action URL"),
        (FaultKind::Http, FaultAt::Transfer) => (7013, "Error Reaching Transfer URL"),
        (FaultKind::Http, FaultAt::Redirect) => (7014, "Error Reaching Redirect URL"),
        (FaultKind::Url, FaultAt::Action) => (7022, "Invalid Action URL"),
        (FaultKind::Url, FaultAt::Transfer) => (7023, "Invalid Transfer URL"),
        (FaultKind::Url, FaultAt::Redirect) => (7024, "Invalid Redirect URL"),
        (FaultKind::Document, FaultAt::Answer) => (8011, "Invalid Answer XML"),
        (FaultKind::Document, FaultAt::Action) => (8012, "Invalid Action XML"),
        (FaultKind::Document, FaultAt::Transfer) => (8013, "Invalid Transfer XML"),
        (FaultKind::Document, FaultAt::Redirect) => (8014, "Invalid Redirect XML"),
    };
    words(code, name, "Error", "NORMAL_TEMPORARY_FAILURE")
}

/// `CallStatus`.
pub(crate) fn call_status(call: &CallView) -> &'static str {
    match (call.state, call.answered_at, &call.cause) {
        (CallState::Ringing, ..) => "ringing",
        (CallState::InProgress, ..) => "in-progress",
        (CallState::Ended, Some(_), _) => "completed",
        (CallState::Ended, None, Some(HangupCause::Busy)) => "busy",
        (CallState::Ended, None, Some(HangupCause::RingTimeout)) => "timeout",
        (CallState::Ended, None, Some(HangupCause::NoAnswer | HangupCause::Cancelled | HangupCause::LostRace)) => {
            "no-answer"
        }
        (CallState::Ended, None, _) => "failed",
    }
}

/// `termination_cause` and its code.
pub(crate) const fn termination(cause: EndCause) -> (u16, &'static str) {
    match cause {
        // Plivo documents none for the departure of a member that ends the call.
        EndCause::Empty | EndCause::EndOnExit => (1000, "No Active Participants"),
        EndCause::Alone => (1010, "Stay Alone Not Permitted"),
        EndCause::MaxDuration | EndCause::NotStarted => (2000, "Max Duration Reached"),
        EndCause::Requested => (3000, "Hangup API Triggered"),
        EndCause::Restart | EndCause::Fault => (0, "Unknown"),
    }
}

/// The causes that a code of the list filter stands for.
pub(crate) fn causes_of(code: u64) -> Option<Vec<EndCause>> {
    let all = [
        EndCause::Empty,
        EndCause::EndOnExit,
        EndCause::Alone,
        EndCause::MaxDuration,
        EndCause::NotStarted,
        EndCause::Requested,
        EndCause::Restart,
        EndCause::Fault,
    ];
    let found: Vec<_> = all.into_iter().filter(|cause| u64::from(termination(*cause).0) == code).collect();
    (!found.is_empty()).then_some(found)
}

/// `exit_cause`.
pub(crate) const fn exit(cause: LeaveCause) -> &'static str {
    match cause {
        LeaveCause::Hangup => "Participant Call Hangup",
        LeaveCause::Kicked => "Kicked Out of Multiparty Call",
        LeaveCause::Transferred => "Participant Call Transferred",
        LeaveCause::RoomEnded => "Multiparty Call Ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_instructions_have_plivos_codes() {
        let code = |at, kind| hangup(&HangupCause::Instructions(InstructionsFault { at, kind })).code;
        for (row, at) in
            [FaultAt::Answer, FaultAt::Action, FaultAt::Transfer, FaultAt::Redirect].into_iter().enumerate()
        {
            let row = u16::try_from(row).unwrap();
            assert_eq!(code(at, FaultKind::Http), 7011 + row);
            assert_eq!(code(at, FaultKind::Document), 8011 + row);
            if at != FaultAt::Answer {
                assert_eq!(code(at, FaultKind::Url), 7021 + row);
            }
        }
    }

    #[test]
    fn multiparty_hang_ups_have_plivos_codes() {
        for (cause, code) in [
            (HangupCause::Normal(HangupSource::Callee), 4000),
            (HangupCause::EndOfInstructions, 4010),
            (HangupCause::RoomEnded, 4020),
            (HangupCause::Kicked, 4030),
            (HangupCause::Scheduled, 6000),
            (HangupCause::RingTimeout, 6010),
            (HangupCause::MediaTimeout, 6020),
            (HangupCause::LostRace, 9000),
            (HangupCause::NotConfirmed, 9110),
            (HangupCause::Cancelled, 1000),
            (HangupCause::NotRegistered, 2020),
            (HangupCause::NoAnswer, 3000),
            (HangupCause::Busy, 3010),
            (HangupCause::Rejected, 3020),
        ] {
            assert_eq!(hangup(&cause).code, code, "{cause:?}");
        }
    }

    #[test]
    fn the_list_filter_knows_every_termination_code_and_no_other() {
        assert_eq!(causes_of(1000), Some(vec![EndCause::Empty, EndCause::EndOnExit]));
        assert_eq!(causes_of(1010), Some(vec![EndCause::Alone]));
        assert!(causes_of(0).is_some() && causes_of(2000).is_some() && causes_of(3000).is_some());
        assert_eq!(causes_of(4000), None);
    }
}
