//! Browsers and their connections (RFC 5626, RFC 7118): a dialog with a browser lives on its connection, survives that for a
//! while, and goes on over another one on which the same endpoint proved itself. Nobody else's connection may carry it, even
//! if he knows its tags.

use std::time::Instant;

use super::dialog::Phase;
use super::server::ServerState;
use super::stateless::Arrived;
use super::{Core, Wake};
use crate::access::Reply;
use crate::connections::Owner;
use crate::leg::{By, Command, LegEvent};
use crate::message::Response;
use crate::transport::Flow;

impl Core {
    /// Whether what comes on `flow` has yet to prove that it belongs to the dialog.
    pub(super) fn is_foreign(&self, id: u64, flow: &Flow) -> bool {
        let Some(dialog) = self.dialogs.get(&id) else { return false };
        if !(dialog.flow.is_websocket() || flow.is_websocket()) || dialog.flow.connection == flow.connection {
            return false;
        }
        let proves = |owner: &Owner| self.wire.connections.is_proven_for(flow.connection, owner);
        !(flow.is_websocket() && dialog.owner.as_ref().is_some_and(proves))
    }

    /// A request inside a dialog from a connection that is not the dialog's: its sender is asked for the password. One that
    /// registered there before is not.
    pub(super) fn rejoin(&mut self, arrived: Arrived, id: u64, now: Instant) {
        self.counters.flows_foreign.add();
        let Some(tx) = self.open_server(&arrived, false, now) else { return };
        let Arrived { request, flow, .. } = arrived;
        if self.dialogs.get(&id).is_none_or(|d| d.owner.is_none()) {
            self.reply(tx, &Reply::new(403), now);
            return;
        }
        if let Some(server) = self.servers.get_mut(&tx) {
            server.request = Some(Box::new(request.clone()));
        }
        let (access, known) = (self.access.clone(), self.familiar(&flow, now));
        let asked = self.ask(known, async move { Command::Rejoin(tx, id, access.rejoin(&request, flow).await) });
        if !asked {
            self.reply(tx, &Reply::later(5), now);
        }
    }

    /// It is known who sent it.
    pub(super) fn rejoined(&mut self, tx: u64, id: u64, verdict: Result<Owner, Reply>, now: Instant) {
        let owner = match verdict {
            Ok(owner) => owner,
            Err(reply) => {
                self.reply(tx, &reply, now);
                return;
            }
        };
        let Some(server) = self.servers.get_mut(&tx).filter(|s| s.state == ServerState::Open) else { return };
        let Some(request) = server.request.take() else { return };
        let flow = server.back.flow;
        server.proven = true;
        self.wire.connections.prove(flow.connection, &owner);
        let Some(dialog) = self.dialogs.get(&id) else {
            self.counters.unknown_dialog.add();
            self.reply(tx, &Reply::new(481), now);
            return;
        };
        if dialog.owner.as_ref() != Some(&owner) {
            self.reply(tx, &Reply::new(403), now);
            return;
        }
        self.within(tx, id, *request, flow, now);
    }

    /// Whether a response came from somebody else's connection: what was asked of a browser is answered on the connection it was
    /// asked on, or on one where the same endpoint proved itself.
    pub(super) fn misdirected(&self, response: &Response, flow: &Flow) -> bool {
        let Some(sent) = self.sent_for(response) else { return false };
        if !(sent.flow.is_websocket() || flow.is_websocket()) || sent.flow.connection == flow.connection {
            return false;
        }
        !self.dialogs.contains_key(&sent.dialog) || self.is_foreign(sent.dialog, flow)
    }

    /// The dialog goes on over the connection its peer uses now.
    pub(super) fn follow(&mut self, id: u64, flow: Flow) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if !(flow.is_websocket() || dialog.flow.is_websocket()) || dialog.flow.connection == flow.connection {
            return;
        }
        dialog.flow = flow;
        dialog.flow_gone = None;
        if let Some(unacked) = &mut dialog.unacked {
            unacked.flow = flow;
        }
        self.counters.flows_followed.add();
    }

    /// A connection is gone: whatever waited for an answer on it gets one (RFC 3261 §17.1.4), what was registered over it is
    /// registered no more, and its calls wait for their browser for a while.
    pub(super) fn closed(&mut self, connection: u64, now: Instant) {
        self.unreachable(connection);
        let waiting = self.clients.values().filter(|c| c.sent.flow.connection == connection && c.waits());
        let waiting: Vec<(u64, bool)> = waiting.map(|c| (c.id, c.sent.flow.is_websocket() && c.opens_call())).collect();
        for (id, browser) in waiting {
            // Who is called in a browser that is closed is not there: to try him again at once makes no sense.
            self.fail_client(id, if browser { 480 } else { 503 }, "the connection broke", By::Transport, now);
        }
        let hit = self.dialogs.values().filter(|d| d.flow.is_websocket() && d.flow.connection == connection);
        let hit: Vec<(u64, Phase)> = hit.map(|d| (d.id, d.phase)).collect();
        let until = now + self.config.limits.websocket_return;
        for (id, phase) in hit {
            // An INVITE can be answered on its own connection alone.
            if phase == Phase::Offered {
                self.lost(id, "the caller's connection broke", now);
            } else if let Some(dialog) = self.dialogs.get_mut(&id) {
                dialog.flow_gone = Some(until);
                self.wake(until, Wake::Dialog(id));
            }
        }
    }

    /// Registrations that came over a browser's connection end with it.
    pub(super) fn unreachable(&self, connection: u64) {
        let gone = self.access.unreachable(connection);
        if !gone.is_empty() {
            let access = self.access.clone();
            tokio::spawn(async move { access.forget(gone).await });
        }
    }

    /// Ends a call whose browser did not come back.
    pub(super) fn flow_due(&mut self, id: u64, now: Instant) {
        let Some(dialog) = self.dialogs.get(&id) else { return };
        if dialog.flow_gone.is_some_and(|at| at <= now) {
            if dialog.live() {
                self.counters.flows_lost.add();
            }
            self.lost(id, "the browser's connection broke and it did not come back", now);
        }
    }

    /// Nobody can be told but the engine.
    fn lost(&mut self, id: u64, why: &str, now: Instant) {
        let pending = self.dialogs.get_mut(&id).and_then(|d| d.pending.take());
        if let Some(tx) = pending {
            self.respond(tx, 480, None, &[], None, now);
        }
        self.bury(id, LegEvent::ended(By::Transport, why), now);
    }
}
