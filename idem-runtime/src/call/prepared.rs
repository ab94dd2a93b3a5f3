//! What a call has gathered before it starts. It lives in one box that is used again by later calls of the same
//! thread, so that a duplicate allocates nothing.

use std::cell::RefCell;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::Duration;

use super::machine::Progress;
use super::options::Options;
use super::site::Called;
use super::source::Source;
use crate::encoding::{array_header, text_header};
use crate::store::{Arguments, AttemptId, Claim, Handle};
use crate::token::digest::{self, Verified};
use crate::token::hash::sha256;
use crate::{Error, Text, Token};

/// What a call has gathered.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) called: Called,
    pub(crate) options: Options,
    pub(crate) store: Option<Handle>,
    pub(crate) source: Option<Source>,
    pub(crate) claim: Arc<Claim>,
    /// The first thing that went wrong while the call was put together.
    pub(crate) error: Option<Error>,
    scope: String,
    /// The values that make the token, each in its encoding, one after the other.
    values: Vec<u8>,
    count: usize,
    verified: Verified,
    /// The digest of the verified arguments, once it is made.
    pub(super) digest: Vec<u8>,
    /// The token's encoding.
    encoding: Vec<u8>,
    /// How far the call has come.
    pub(super) progress: Progress,
}

/// So many boxes are kept by a thread, and buffers of at most this size.
const MOST_KEPT: usize = 16;
const LARGEST_KEPT: usize = 64 * 1024;

/// A call holds its box while it moves, so it is boxes that are kept.
type Kept = Vec<Box<Prepared>>;

thread_local!(static KEPT: RefCell<Kept> = const { RefCell::new(Vec::new()) });

impl Prepared {
    #[inline]
    pub(crate) fn take(called: Called) -> Box<Prepared> {
        let options = called.instance().map(|instance| instance.site.options).unwrap_or_default();
        match KEPT.try_with(|kept| kept.try_borrow_mut().ok()?.pop()).ok().flatten() {
            Some(mut prepared) => {
                prepared.called = called;
                prepared.options = options;
                prepared
            }
            None => Box::new(Prepared {
                called,
                options,
                store: None,
                source: None,
                claim: Arc::default(),
                error: None,
                scope: String::new(),
                values: Vec::new(),
                count: 0,
                verified: Verified::default(),
                digest: Vec::new(),
                encoding: Vec::new(),
                progress: Progress::default(),
            }),
        }
    }

    /// Gives the box back to this thread.
    pub(crate) fn keep(mut self: Box<Self>) {
        if self.values.capacity() > LARGEST_KEPT || self.scope.capacity() > LARGEST_KEPT {
            return;
        }
        self.store = None;
        self.source = None;
        self.error = None;
        self.scope.clear();
        self.values.clear();
        self.count = 0;
        self.verified.clear();
        self.progress = Progress::default();
        // Whatever it drops must have been dropped before the others can be borrowed.
        let _ = KEPT.try_with(|kept| {
            if let Ok(mut kept) = kept.try_borrow_mut() {
                if kept.len() < MOST_KEPT {
                    kept.push(self);
                }
            }
        });
    }

    pub(crate) fn text(&self) -> &Text {
        self.called.text()
    }

    pub(crate) fn arg<A: super::Argument + ?Sized>(&mut self, value: &A) {
        let position = self.count;
        self.count += 1;
        if let Err(source) = value.append_to(&mut self.values) {
            let argument = self.called.argument(position);
            self.fail(|function| Error::Encode { function, argument, source });
        }
    }

    pub(crate) fn verify<A: super::Argument + ?Sized>(&mut self, name: &str, value: &A) {
        if name == digest::KEY {
            self.fail(|function| Error::misuse(function, "`key()` is not the name of an argument"));
        } else if let Err(source) = self.verified.add(name, |out| value.append_to(out)) {
            let argument = Text::from(name.to_owned());
            self.fail(|function| Error::Encode { function, argument, source });
        }
    }

    pub(crate) fn key(&mut self, text: &str) {
        let added = self.verified.add(digest::KEY, |out| {
            text_header(text.len(), out);
            out.extend_from_slice(text.as_bytes());
            Ok::<_, std::convert::Infallible>(())
        });
        let Ok(()) = added;
    }

    pub(crate) fn scope(&mut self, scope: &dyn Display) {
        self.scope.clear();
        if write!(self.scope, "{scope}").is_err() {
            self.fail(|function| Error::misuse(function, "the `Display` of its scope fails"));
        }
    }

    fn fail(&mut self, error: impl FnOnce(Text) -> Error) {
        if self.error.is_none() {
            self.error = Some(error(self.called.text().clone()));
        }
    }

    /// The token, or why there is none.
    pub(crate) fn token(&mut self) -> Result<Token, Error> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let front = &mut self.encoding;
        front.clear();
        front.push(0x84);
        for text in ["idem/1", &self.scope, self.called.text()] {
            text_header(text.len(), front);
            front.extend_from_slice(text.as_bytes());
        }
        array_header(self.count, front);
        front.extend_from_slice(&self.values);
        Ok(Token::from_bytes(sha256(front)))
    }

    /// Refuses a text that another call site has taken before.
    pub(super) fn check_text(&self) -> Result<(), Error> {
        self.called.check(self.count)
    }

    /// Makes the digest of the verified arguments.
    pub(crate) fn make_digest(&mut self) -> Result<(), Error> {
        self.verified.sort().map_err(|name| {
            Error::misuse(
                self.called.text().clone(),
                Text::from(format!("its argument `{name}` is verified twice")),
            )
        })?;
        self.digest.clear();
        self.verified.digest(&mut self.digest);
        Ok(())
    }

    /// Fills in the claim, so that it can be sent.
    pub(crate) fn fill_claim(&mut self, token: Token, lease: Duration, wants_arguments: bool) {
        // Nobody else holds it any more, nearly always: what a store keeps of a claim it copies.
        let claim = Arc::make_mut(&mut self.claim);
        claim.token = token;
        claim.attempt = AttemptId::random();
        claim.digest.clear();
        claim.digest.extend_from_slice(&self.digest);
        claim.accept = None;
        claim.lease = lease;
        claim.ttl = self.options.ttl_or_default();
        claim.on_interrupt = self.options.on_interrupt.unwrap_or_default();
        claim.max_attempts = self.options.max_attempts;
        // Nothing is compared where both are empty: on some processors a comparison of no bytes, at the address
        // that an empty text has, takes longer than the hash.
        if !(claim.scope.is_empty() && self.scope.is_empty()) && *claim.scope != *self.scope {
            claim.scope = Text::from(self.scope.clone());
        }
        claim.function = self.called.text().clone();
        claim.record_arguments = self.options.record_arguments;
        claim.arguments = (wants_arguments || claim.record_arguments).then(|| {
            let mut key = Vec::with_capacity(self.values.len() + 9);
            array_header(self.count, &mut key);
            key.extend_from_slice(&self.values);
            let mut verified = Vec::new();
            self.verified.values(&mut verified);
            Arguments::new(key, verified)
        });
    }

    /// A copy of the claim that can be changed, in place of one that was sent.
    pub(crate) fn change_claim(&mut self, change: impl FnOnce(&mut Claim)) {
        change(Arc::make_mut(&mut self.claim));
    }
}
