//! The four tasks, one after another, each with what must be measured after it.

use std::time::Duration;

use phone::Call;
use phone::analysis::{Expect, tone_set};

use super::cast::{Cast, measure};
use super::centre::Centre;
use super::screen::Screen;
use super::{DemoError, HOTLINE};

/// How long the voices are heard between two measurements of the live view.
const SCENE: Duration = Duration::from_secs(6);

/// Walks through all tasks. True: every pair was as it should be.
pub(super) async fn through(cast: &Cast, centre: &Centre, screen: &Screen) -> Result<bool, DemoError> {
    let mut right = true;
    screen.task("1 · A customer calls the hotline and talks with an agent");
    let customer = cast.customer.call(HOTLINE).await?;
    let agent = cast.agent.answer().await?;
    centre.wait_for(&["agent", "customer"]).await?;
    let two = [("customer", &customer), ("agent", &agent)];
    right &= scene(cast, screen, &two, &[]).await?;

    screen.task("2 · The agent brings in a supervisor, who whispers to him");
    centre.add("Supervisor", "supervisor", true).await?;
    let supervisor = cast.supervisor.answer().await?;
    centre.wait_for(&["agent", "customer", "supervisor"]).await?;
    let three = [("customer", &customer), ("agent", &agent), ("supervisor", &supervisor)];
    right &= scene(cast, screen, &three, &[("customer", "supervisor")]).await?;
    hang_up(&supervisor, "supervisor").await?;
    centre.wait_for(&["agent", "customer"]).await?;

    screen.task("3 · A supervisor joins by himself and coaches");
    let supervisor = cast.supervisor.call("demo").await?;
    centre.wait_for(&["agent", "customer", "supervisor"]).await?;
    let three = [("customer", &customer), ("agent", &agent), ("supervisor", &supervisor)];
    right &= scene(cast, screen, &three, &[("customer", "supervisor")]).await?;

    screen.task("4 · The supervisor talks to both");
    centre.coach("supervisor", false).await?;
    right &= scene(cast, screen, &three, &[]).await?;

    for (call, name) in [(&supervisor, "supervisor"), (&agent, "agent"), (&customer, "customer")] {
        hang_up(call, name).await?;
    }
    centre.wait_for(&[]).await?;
    Ok(right)
}

/// Lets the voices be heard in the live view, then measures and compares; `deaf` are the pairs (listener, speaker) that
/// must be silent.
async fn scene(
    cast: &Cast,
    screen: &Screen,
    calls: &[(&'static str, &Call)],
    deaf: &[(&str, &str)],
) -> Result<bool, DemoError> {
    if screen.is_live() {
        let tones = tone_set(3).map(|set| set.tones).unwrap_or_default();
        for ((actor, (_, call)), tone) in
            [&cast.customer, &cast.agent, &cast.supervisor].into_iter().zip(calls).zip(tones)
        {
            actor.speak(call, *tone).await;
        }
        tokio::time::sleep(SCENE).await;
    }
    let matrix = measure(calls).await?;
    let mut expected = Vec::new();
    for (listener, _) in calls {
        for (speaker, _) in calls {
            let silent = listener == speaker || deaf.contains(&(*listener, *speaker));
            expected.push((*listener, *speaker, if silent { Expect::Silent } else { Expect::Heard }));
        }
    }
    let verdict = matrix.check(&expected);
    screen.matrix(&matrix, verdict.as_ref().err().map(Vec::len).unwrap_or_default());
    Ok(verdict.is_ok())
}

async fn hang_up(call: &Call, name: &'static str) -> Result<(), DemoError> {
    call.hangup().await.map_err(|error| DemoError::phone(name, error))
}
