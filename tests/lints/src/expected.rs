//! Lints that have to fire: the user's own code is in an annotated function what it is elsewhere.

use idem::{Error, idempotent};

/// What the body does not use.
///
/// # Errors
/// As the call.
#[idempotent]
#[expect(unused_variables)]
pub async fn unused_variable(order: u64) -> Result<u64, Error> {
    let unused = 1;
    std::future::ready(()).await;
    Ok(order)
}

/// What the body does not reach.
///
/// # Errors
/// As the call.
#[idempotent]
#[expect(unreachable_code)]
pub fn unreachable(order: u64) -> Result<u64, Error> {
    return Ok(order);
    Ok(order)
}

/// What the body does not reach.
///
/// # Errors
/// As the call.
#[idempotent]
#[expect(unreachable_code)]
pub async fn unreachable_async(order: u64) -> Result<u64, Error> {
    std::future::ready(()).await;
    return Ok(order);
    Ok(order)
}

/// A `mut` that is not needed.
///
/// # Errors
/// As the call.
#[idempotent]
#[expect(unused_mut)]
pub async fn unused_mut(mut order: u64, (mut left, right): (u64, u64)) -> Result<u64, Error> {
    std::future::ready(()).await;
    Ok(order + left + right)
}

/// A name of a pattern that nobody uses.
///
/// # Errors
/// As the call.
#[idempotent]
#[expect(unused_variables)]
pub async fn unused_in_pattern((left, right): (u64, u64)) -> Result<u64, Error> {
    std::future::ready(()).await;
    Ok(left)
}

/// A binding that is used although its name says otherwise.
///
/// # Errors
/// As the call.
#[idempotent]
#[expect(clippy::used_underscore_binding)]
pub async fn used_underscore(_order: u64) -> Result<u64, Error> {
    std::future::ready(()).await;
    Ok(_order)
}

/// A cast that loses something.
///
/// # Errors
/// As the call.
#[idempotent(key(order as u32))]
#[expect(clippy::cast_possible_truncation)]
pub fn cast(order: u64) -> Result<u64, Error> {
    Ok(order)
}

/// Items before all statements, where they may be.
///
/// # Errors
/// As the call.
#[idempotent]
pub async fn items_before_statements(order: u64) -> Result<u64, Error> {
    const ONE: u64 = 1;
    std::future::ready(()).await;
    Ok(order + ONE)
}
