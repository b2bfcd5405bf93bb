//! Asks programs: instructions, music, and the delivery of callbacks, in their dialect's words and signed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use store::AccountId;

use crate::clock::Clock;
use crate::dialect::{Body, CallView, DeliveryOptions, Dialect, DocumentError, Params, Purpose, SigningKeys};
use crate::http::{Answer, Content, Http, HttpError, Request, shown};
use crate::intake::Download;
use crate::verb::{Fetch, Instruction, Method, Prompt};

/// Why a hook gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer cannot be run.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The account is gone or disabled.
    #[error("account {0} cannot be found; its programs are not asked")]
    Account(String),
    /// The database could not be asked; later it may.
    #[error("the account could not be read: {0}")]
    Store(#[from] store::StoreError),
    /// The connection to the application gave none.
    #[error(transparent)]
    Link(#[from] crate::link::NoAnswer),
    /// No such dialect in this server.
    #[error("dialect {0} is not served here")]
    Dialect(String),
}

/// Asks programs. Cheap to clone.
#[derive(Clone)]
pub struct Hooks {
    clock: Clock,
    http: Http,
    store: store::Store,
    dialects: Arc<HashMap<&'static str, Arc<dyn Dialect>>>,
}

impl Hooks {
    /// Hooks of these dialects.
    pub fn new(clock: Clock, http: Http, store: store::Store, dialects: Vec<Arc<dyn Dialect>>) -> Self {
        let dialects = dialects.into_iter().map(|dialect| (dialect.name(), dialect)).collect();
        Self { clock, http, store, dialects: Arc::new(dialects) }
    }

    /// The dialect of this name.
    pub(crate) fn dialect(&self, name: &str) -> Result<&Arc<dyn Dialect>, HookError> {
        self.dialects.get(name).ok_or_else(|| HookError::Dialect(name.to_owned()))
    }

    /// Asks for instructions; `None`: nothing new. `base` is the application's own address.
    pub(crate) async fn instructions(
        &self,
        account: &str,
        dialect: &'static str,
        call: &CallView,
        base: &Fetch,
        fetch: &Fetch,
        purpose: &Purpose,
    ) -> Result<Option<Vec<Instruction>>, HookError> {
        let speaker = self.dialect(dialect)?;
        let answer = self.ask(account, dialect, call, fetch, purpose, speaker.largest_document()).await?;
        Ok(speaker.document(base, purpose, &answer.content_type, &answer.body)?)
    }

    /// The prompts of an answer to a music URL.
    pub(crate) fn prompts(&self, dialect: &'static str, answer: &Answer) -> Result<Vec<Prompt>, HookError> {
        Ok(self.dialect(dialect)?.prompts(&answer.content_type, &answer.body)?)
    }

    /// One signed request, tried again as its URL says.
    pub(crate) async fn ask(
        &self,
        account: &str,
        dialect: &'static str,
        call: &CallView,
        fetch: &Fetch,
        purpose: &Purpose,
        limit: usize,
    ) -> Result<Answer, HookError> {
        let speaker = self.dialect(dialect)?;
        let body = speaker.request(call, purpose);
        let options = speaker.delivery(&fetch.url);
        let keys = self.keys(account, &call.auth_id).await?;
        self.send(&keys, speaker, (fetch, &Params::new()), &body, options, (limit, None)).await
    }

    /// One signed request for the sound of a room of the (sub-)account `auth_id`. It says nothing of any call: a room's
    /// music is everybody's.
    pub(crate) async fn sound(
        &self,
        account: &str,
        auth_id: &str,
        dialect: &'static str,
        fetch: &Fetch,
        (limit, download): (usize, &Download),
    ) -> Result<Answer, HookError> {
        let speaker = self.dialect(dialect)?;
        let keys = self.keys(account, auth_id).await?;
        let room = (limit, Some(download));
        let body = Body::Form(Params::new());
        self.send(&keys, speaker, (fetch, &Params::new()), &body, speaker.delivery(&fetch.url), room).await
    }

    /// Delivers a callback: one attempt, its answer is ignored.
    pub(crate) async fn deliver(
        &self,
        account: AccountId,
        sub_account: Option<AccountId>,
        dialect: &str,
        (to, own): (&Fetch, &Params),
        body: &Body,
    ) -> Result<(), HookError> {
        let main = self.account(account).await?;
        let main_token = main.auth_token.reveal().to_owned();
        let token = match sub_account {
            Some(sub_account) => self.account(sub_account).await?.auth_token.reveal().to_owned(),
            None => main_token.clone(),
        };
        let keys = SigningKeys { token, main_token, webhook_secret: secret_of(&main) };
        let speaker = self.dialect(dialect)?;
        let options = DeliveryOptions { retries: 0, ..speaker.delivery(&to.url) };
        let options = DeliveryOptions { total: options.total.min(Duration::from_secs(15)), ..options };
        self.send(&keys, speaker, (to, own), body, options, (speaker.largest_document(), None)).await.map(drop)
    }

    /// Fetches a sound file. Files are larger than documents: where the URL asks for nothing, they may take their time.
    pub(crate) async fn download(
        &self,
        dialect: &'static str,
        url: &str,
        (limit, download): (usize, &Download),
    ) -> Result<Answer, HookError> {
        let options = match url.split_once('#') {
            Some(_) => self.dialect(dialect)?.delivery(url),
            None => DeliveryOptions {
                connect: Duration::from_secs(2),
                total: Duration::from_secs(120),
                retries: 1,
                retry_connect: true,
                retry_timeout: true,
                retry_4xx: true,
                retry_5xx: true,
            },
        };
        Ok(self.http.download(without_fragment(url), limit, options, download).await?)
    }

    async fn send(
        &self,
        keys: &SigningKeys,
        speaker: &Arc<dyn Dialect>,
        (fetch, own): (&Fetch, &Params),
        body: &Body,
        options: DeliveryOptions,
        (limit, download): (usize, Option<&Download>),
    ) -> Result<Answer, HookError> {
        let url = without_fragment(&fetch.url);
        let url = match (fetch.method, body) {
            (Method::Get, Body::Form(params)) => with_query(url, params)?,
            _ => url.to_owned(),
        };
        let sign = || speaker.sign(keys, fetch.method, &url, body, self.clock.utc() / 1_000_000);
        let (method, auth) = (fetch.method, fetch.auth.as_ref());
        let content = match body {
            Body::Nothing => Content::Nothing,
            Body::Form(params) => Content::Form(params),
            Body::Json(text) => Content::Json(text),
        };
        let request = Request { method, url: &url, auth, content, headers: own, limit, download };
        Ok(self.http.send_signed(&request, &sign, options, speaker.pauses()).await?)
    }

    async fn account(&self, account: AccountId) -> Result<store::Account, HookError> {
        self.store.account(account).await?.ok_or_else(|| HookError::Account(account.to_string()))
    }

    /// The tokens that sign for this account, and for the sub-account that acts in it.
    async fn keys(&self, account: &str, auth_id: &str) -> Result<SigningKeys, HookError> {
        let unknown = || HookError::Account(account.to_owned());
        let main = self.store.account(account.parse().map_err(|_| unknown())?).await?.ok_or_else(unknown)?;
        let main_token = main.auth_token.reveal().to_owned();
        let acting = match auth_id != main.auth_id {
            true => self.store.account_by_auth_id(auth_id).await?,
            false => None,
        };
        let token = acting.map_or_else(|| main_token.clone(), |sub| sub.auth_token.reveal().to_owned());
        Ok(SigningKeys { token, main_token, webhook_secret: secret_of(&main) })
    }
}

fn secret_of(main: &store::Account) -> String {
    main.webhook_secret.reveal().to_owned()
}

fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or(url)
}

fn with_query(url: &str, params: &Params) -> Result<String, HttpError> {
    let mut parsed = url::Url::parse(url).map_err(|_| HttpError::BadUrl { url: shown(url) })?;
    if !params.is_empty() {
        parsed.query_pairs_mut().extend_pairs(params);
    }
    Ok(parsed.into())
}
