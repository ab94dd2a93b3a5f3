//! Tokens: 32 bytes that are the same for two calls that mean the same.

pub mod digest;
pub(crate) mod hash;
pub(crate) mod signature;

use std::fmt;
use std::str::FromStr;

/// 32 bytes, the same for two calls that mean the same: SHA-256 of scope, function and arguments.
///
/// It is written as 64 hexadecimal digits.
///
/// ```
/// use idem_runtime::Token;
/// let token: Token = "6be7b1e2193e236149ff6cb471d5b6d8131c45089e0bf98b550542557eb716fe".parse().unwrap();
/// assert_eq!(token.as_bytes()[0], 0x6b);
/// assert!("6be7".parse::<Token>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Token([u8; 32]);

impl Token {
    /// The token of a call, from the text of its function and the encoding of its arguments: one array of those
    /// that make the token.
    ///
    /// ```
    /// use idem_runtime::{Token, encoding};
    /// let function = "shop::charge(order_id: u64, who: String)";
    /// let token = Token::of("", function, &encoding::to_vec(&(7, "ann"))?);
    /// assert_eq!(token.to_string(), "6be7b1e2193e236149ff6cb471d5b6d8131c45089e0bf98b550542557eb716fe");
    /// # Ok::<(), encoding::EncodeError>(())
    /// ```
    #[must_use]
    pub fn of(scope: &str, function: &str, arguments: &[u8]) -> Self {
        Token(hash::sha256(&mut Token::encoding(scope, function, arguments)))
    }

    /// What the token is the SHA-256 of.
    #[must_use]
    pub fn encoding(scope: &str, function: &str, arguments: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96 + scope.len() + function.len() + arguments.len());
        crate::encoding::array_header(4, &mut bytes);
        for text in ["idem/1", scope, function] {
            crate::encoding::text_header(text.len(), &mut bytes);
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(arguments);
        bytes
    }

    /// The token with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Token(bytes)
    }

    /// Its bytes.
    #[must_use]
    #[inline]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.pad(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}

/// The text is not a token: a token is written as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a token is written as 64 hexadecimal digits")]
pub struct ParseTokenError(());

impl FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(ParseTokenError(()));
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|d| d as u8).ok_or(ParseTokenError(()));
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Token(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::{ParseTokenError, Token};

    #[test]
    fn a_token_is_read_as_it_is_written() {
        let token = Token::of("", "orders.charge", &[0x80]);
        let text = token.to_string();
        assert_eq!(text.len(), 64);
        assert_eq!(text.parse(), Ok(token));
        assert_eq!(text.to_uppercase().parse(), Ok(token));
        assert_eq!(format!("{token:?}"), format!("Token({text})"));
        let another = "0123456789abcdef".repeat(4);
        assert_eq!(another.parse::<Token>().unwrap().to_string(), another);
    }

    #[test]
    fn what_is_not_64_digits_is_no_token() {
        let text = "0".repeat(64);
        for wrong in
            ["", &text[1..], &format!("{text}0"), &format!("{}g", &text[1..]), &format!("ö{}", &text[2..])]
        {
            assert_eq!(wrong.parse::<Token>(), Err(ParseTokenError(())), "{wrong}");
        }
    }
}
