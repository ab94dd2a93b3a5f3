//! The parameters of claims, completions and renewals: of one, or of many in arrays.

use idem_runtime::Text;
use idem_runtime::store::{Arguments, Claim, Complete, Request};
use sqlx::Error;

use crate::row;
use crate::value::{Values, micros};

/// The arguments that a record keeps.
fn kept(claim: &Claim) -> Option<&Arguments> {
    claim.arguments.as_ref().filter(|_| claim.record_arguments)
}

pub(crate) fn one_claim(mut values: Values, namespace: &str, claim: &Claim) -> Result<Values, Error> {
    values.text(namespace)?;
    values.bytes(claim.token.as_bytes())?;
    values.bytes(&claim.attempt.to_bytes())?;
    values.number(micros(claim.lease))?;
    values.number(micros(claim.ttl))?;
    values.number(row::slack(claim.ttl))?;
    values.text(row::on_interrupt(claim.on_interrupt))?;
    values.text(&claim.scope)?;
    values.text(&claim.function)?;
    values.bytes(&claim.digest)?;
    values.maybe_bytes(kept(claim).map(|arguments| &*arguments.key))?;
    values.maybe_bytes(kept(claim).map(|arguments| &*arguments.verified))?;
    Ok(values)
}

pub(crate) fn many_claims(asked: &[(&Text, &Claim)]) -> Result<Values, Error> {
    let mut values = Values::new(false);
    values.many(column(asked, |(namespace, _)| namespace.as_str()))?;
    values.many(column(asked, |(_, claim)| &claim.token.as_bytes()[..]))?;
    values.many(column(asked, |(_, claim)| claim.attempt.to_bytes().to_vec()))?;
    values.many(column(asked, |(_, claim)| micros(claim.lease)))?;
    values.many(column(asked, |(_, claim)| micros(claim.ttl)))?;
    values.many(column(asked, |(_, claim)| row::slack(claim.ttl)))?;
    values.many(column(asked, |(_, claim)| row::on_interrupt(claim.on_interrupt)))?;
    values.many(column(asked, |(_, claim)| claim.scope.as_str()))?;
    values.many(column(asked, |(_, claim)| claim.function.as_str()))?;
    values.many(column(asked, |(_, claim)| &*claim.digest))?;
    values.many(column(asked, |(_, claim)| kept(claim).map(|arguments| &*arguments.key)))?;
    values.many(column(asked, |(_, claim)| kept(claim).map(|arguments| &*arguments.verified)))?;
    Ok(values)
}

pub(crate) fn one_complete(
    mut values: Values,
    namespace: &str,
    complete: &Complete,
) -> Result<Values, Error> {
    values.text(namespace)?;
    values.bytes(complete.token.as_bytes())?;
    values.bytes(&complete.attempt.to_bytes())?;
    values.text(row::kind(complete.kind))?;
    values.number(micros(complete.ttl))?;
    values.number(row::slack(complete.ttl))?;
    values.text(&complete.function)?;
    values.bytes(&complete.digest)?;
    values.bytes(&complete.result)?;
    Ok(values)
}

pub(crate) fn many_completes(asked: &[(&Text, &Complete)]) -> Result<Values, Error> {
    let mut values = Values::new(false);
    values.many(column(asked, |(namespace, _)| namespace.as_str()))?;
    values.many(column(asked, |(_, complete)| &complete.token.as_bytes()[..]))?;
    values.many(column(asked, |(_, complete)| complete.attempt.to_bytes().to_vec()))?;
    values.many(column(asked, |(_, complete)| row::kind(complete.kind)))?;
    values.many(column(asked, |(_, complete)| micros(complete.ttl)))?;
    values.many(column(asked, |(_, complete)| row::slack(complete.ttl)))?;
    values.many(column(asked, |(_, complete)| complete.function.as_str()))?;
    values.many(column(asked, |(_, complete)| &*complete.digest))?;
    values.many(column(asked, |(_, complete)| &*complete.result))?;
    Ok(values)
}

pub(crate) fn many_renews(asked: &[(&Text, &Request)]) -> Result<Values, Error> {
    let renewal = |request: &Request| match request {
        Request::Renew { token, attempt, lease, .. } => Some((*token, *attempt, *lease)),
        _ => None,
    };
    let renewals: Vec<_> = asked.iter().filter_map(|(_, request)| renewal(request)).collect();
    let mut values = Values::new(false);
    values.many(column(asked, |(namespace, _)| namespace.as_str()))?;
    values.many(renewals.iter().map(|(token, ..)| &token.as_bytes()[..]).collect())?;
    values.many(renewals.iter().map(|(_, attempt, _)| attempt.to_bytes().to_vec()).collect())?;
    values.many(renewals.iter().map(|(.., lease)| micros(*lease)).collect())?;
    Ok(values)
}

/// One value of each request.
fn column<'a, R, T>(asked: &[(&'a Text, &'a R)], value: impl Fn((&'a Text, &'a R)) -> T) -> Vec<T> {
    asked.iter().map(|asked| value(*asked)).collect()
}
