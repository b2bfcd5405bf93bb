//! Pages with other people's libraries, at a server that lets them in.

use phone::Mouth;
use serde_json::json;
use system_tests::SOON;
use system_tests::browser::{Browsers, Library, Microphone, Opening, PagePhone, Site};
use system_tests::office::{DOMAIN, Member, Office};
use system_tests::program::Asked;
use system_tests::server::ServerOptions;

/// Where pages call.
pub const HOTLINE: &str = "sip:hotline@phone.plivo.com";

/// A call centre, browsers, and the site that the pages come from.
pub struct Desk {
    pub site: Site,
    pub browsers: Browsers,
    // Ends last.
    pub office: Office,
}

impl Desk {
    pub async fn open() -> Self {
        let (browsers, site) = (Browsers::start().await, Site::start().await);
        let office = Office::with(site.allowed(ServerOptions::default())).await;
        Self { site, browsers, office }
    }

    /// A page that is open; its endpoint's calls ask `/answer/NAME`.
    pub async fn page(&self, library: Library, says: Microphone) -> PagePhone {
        let (name, office) = (library.name(), &self.office);
        let (answer, hangup) =
            (office.program.url(&format!("/answer/{name}")), office.program.url(&format!("/hangup/{name}")));
        let app = office.server.application(&office.account, name, &answer, &["--hangup-url", &hangup]).await;
        office.server.endpoint(&office.account, name, Some(&app)).await;
        PagePhone::open(&self.browsers, &self.site, name, library, Opening::default().saying(says)).await
    }

    /// A page of an endpoint that is there.
    pub async fn another_page(&self, library: Library) -> PagePhone {
        PagePhone::open(&self.browsers, &self.site, library.name(), library, Opening::default()).await
    }

    /// The same, registered.
    pub async fn phone(&self, library: Library, says: Microphone) -> PagePhone {
        let page = self.page(library, says).await;
        page.register(&self.office.server, library.name(), DOMAIN).await;
        page
    }

    /// The page calls into a room in this role; what the program was asked for instructions.
    pub async fn calls_in(&self, page: &PagePhone, role: &str, attributes: &str) -> Asked {
        let name = page.tab.name();
        self.office.room_document(name, "room", role, attributes);
        let mark = self.office.program.mark();
        page.calls(HOTLINE, &[]).await;
        let path = format!("/answer/{name}");
        let asked =
            self.office.program.asked().expect("a request for instructions", mark, SOON, |asked| asked.path == path);
        let asked = asked.await;
        let uuid = asked.param("CallUUID").to_owned();
        self.office.program.event("ParticipantJoin", mark, |told| told.param("ParticipantCallUUID") == uuid).await;
        asked
    }

    /// The program adds the endpoint to a room; the page answers. What the program was told when it was in.
    pub async fn adds(&self, page: &PagePhone, room: &str, role: &str) -> Asked {
        let mark = self.office.program.mark();
        let body = json!({
            "role": role, "from": "14155550100", "to": format!("sip:{}@{DOMAIN}", page.tab.name()), "enter_sound": "none",
            "exit_sound": "none", "dial_music": "none", "sip_headers": "Note=south", "status_callback_method": "POST",
            "status_callback_url": self.office.program.url("/events"),
        });
        let added = self.office.rest.post(&format!("/MultiPartyCall/uuid_{room}/Participant/"), body).await;
        let uuid = added["calls"][0]["call_uuid"].as_str().unwrap_or_default().to_owned();
        page.rings().await;
        page.run("answer()").await;
        page.call_is("live").await;
        self.office.program.event("ParticipantJoin", mark, |told| told.param("ParticipantCallUUID") == uuid).await
    }

    /// What the program is told when the page's call is over.
    pub async fn hung_up(&self, page: &PagePhone, mark: usize) -> Asked {
        let path = format!("/hangup/{}", page.tab.name());
        self.office.program.event("Hangup", mark, |told| told.path == path).await
    }

    /// Somebody in the room at a telephone.
    pub async fn telephone(&self, name: &str, role: &str, says: Mouth) -> Member {
        self.office.joins(name, "room", role, "stayAlone=\"true\"", says).await
    }
}
