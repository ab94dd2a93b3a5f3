//! Values on their way to a statement and back.

use std::time::Duration;

use idem_runtime::Timestamp;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo, PgValueFormat, Postgres};
use sqlx::{Arguments, Row as _, Type, ValueRef as _};

/// 2000-01-01, where PostgreSQL counts from, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;
/// The last moment that PostgreSQL knows is a few years later.
const LATEST: i64 = 9_214_000_000_000_000_000;
/// The longest duration: two of them still lead to a moment that PostgreSQL knows (140,000 years).
const LONGEST: i64 = 140_000 * 365 * 86_400_000_000;

/// A duration in microseconds.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(LONGEST).min(LONGEST)
}

/// A moment as PostgreSQL counts.
struct Time(Timestamp);

impl Time {
    fn count(&self) -> i64 {
        match i64::try_from(self.0.as_micros()) {
            Ok(micros) if micros - EPOCH < LATEST => micros - EPOCH,
            _ => i64::MAX,
        }
    }
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        const TIMESTAMPTZ: Oid = Oid(1184);
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.count().to_be_bytes());
        Ok(IsNull::No)
    }
}

/// The values of a statement: bound to it, or, where no statement can be prepared, written into its text.
pub(crate) enum Values {
    Bound(Box<PgArguments>),
    Written(Vec<String>),
}

impl Values {
    pub(crate) fn new(written: bool) -> Self {
        if written { Values::Written(Vec::new()) } else { Values::Bound(Box::default()) }
    }

    fn bind<'q, T: Encode<'q, Postgres> + Type<Postgres> + 'q>(
        &mut self,
        value: T,
        write: impl FnOnce(&T) -> String,
    ) -> Result<(), sqlx::Error> {
        match self {
            Values::Bound(arguments) => arguments.add(value).map_err(sqlx::Error::Encode)?,
            Values::Written(texts) => texts.push(write(&value)),
        }
        Ok(())
    }

    pub(crate) fn text(&mut self, value: &str) -> Result<(), sqlx::Error> {
        self.bind(value, |value| text(value))
    }

    pub(crate) fn maybe_text(&mut self, value: Option<&str>) -> Result<(), sqlx::Error> {
        self.bind(value, |value| value.map_or("NULL".into(), text))
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> Result<(), sqlx::Error> {
        self.bind(value, |value| bytes(value))
    }

    pub(crate) fn maybe_bytes(&mut self, value: Option<&[u8]>) -> Result<(), sqlx::Error> {
        self.bind(value, |value| value.map_or("NULL".into(), bytes))
    }

    pub(crate) fn number(&mut self, value: i64) -> Result<(), sqlx::Error> {
        self.bind(value, |value| format!("({value})::int8"))
    }

    pub(crate) fn maybe_number(&mut self, value: Option<i64>) -> Result<(), sqlx::Error> {
        self.bind(value, |value| value.map_or("NULL".into(), |value| format!("({value})::int8")))
    }

    pub(crate) fn count(&mut self, value: u32) -> Result<(), sqlx::Error> {
        self.bind(i32::try_from(value).unwrap_or(i32::MAX), |value| format!("({value})::int4"))
    }

    pub(crate) fn flag(&mut self, value: bool) -> Result<(), sqlx::Error> {
        self.bind(value, |value| value.to_string())
    }

    /// What never comes is `infinity`.
    pub(crate) fn time(&mut self, value: Timestamp) -> Result<(), sqlx::Error> {
        self.bind(Time(value), time)
    }

    /// What has not come is NULL.
    pub(crate) fn maybe_time(&mut self, value: Timestamp) -> Result<(), sqlx::Error> {
        let value = Some(Time(value)).filter(|value| value.0 != Timestamp::NEVER);
        self.bind(value, |value| value.as_ref().map_or("NULL".into(), time))
    }

    /// Arrays are only bound.
    pub(crate) fn many<'q, T>(&mut self, values: Vec<T>) -> Result<(), sqlx::Error>
    where
        Vec<T>: Encode<'q, Postgres> + Type<Postgres> + 'q,
    {
        self.bind(values, |_| unreachable!("what is written into a statement is asked one by one"))
    }
}

/// Hexadecimal digits need no quoting, whatever the server takes for a backslash.
fn bytes(value: &[u8]) -> String {
    let mut text = String::with_capacity(2 * value.len() + 20);
    text.push_str("decode('");
    for byte in value {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text.push_str("', 'hex')");
    text
}

fn text(value: &str) -> String {
    format!("convert_from({}, 'UTF8')", bytes(value.as_bytes()))
}

fn time(value: &Time) -> String {
    match value.count() {
        i64::MAX => "'infinity'::timestamptz".into(),
        count => format!("(timestamptz '2000-01-01 00:00:00+00' + interval '{count} microseconds')"),
    }
}

/// Puts the values in the places of `$1`, `$2`, ….
pub(crate) fn written(sql: &str, values: &[String]) -> String {
    let mut text = String::with_capacity(sql.len() + values.iter().map(String::len).sum::<usize>());
    let mut rest = sql;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let value =
            rest[..digits].parse::<usize>().ok().and_then(|number| values.get(number.wrapping_sub(1)));
        text.push_str(value.map_or("NULL", String::as_str));
        rest = &rest[digits..];
    }
    text.push_str(rest);
    text
}

/// The columns of a row, one after the other.
pub(crate) struct Columns<'r> {
    row: &'r PgRow,
    next: usize,
}

type Read<T> = Result<T, String>;

impl<'r> Columns<'r> {
    pub(crate) fn new(row: &'r PgRow) -> Self {
        Columns { row, next: 0 }
    }

    /// The next column, and how it is written.
    fn raw(&mut self) -> Read<Option<(PgValueFormat, &'r [u8])>> {
        let value = self.row.try_get_raw(self.next).map_err(|error| error.to_string())?;
        self.next += 1;
        if value.is_null() {
            return Ok(None);
        }
        let format = value.format();
        Ok(Some((format, value.as_bytes().map_err(|error| error.to_string())?)))
    }

    fn column<T>(&self, found: Option<T>) -> Read<T> {
        found.ok_or_else(|| {
            let name = self.row.try_column(self.next - 1).map(|column| sqlx::Column::name(column).to_owned());
            format!("its column {} cannot be read", name.unwrap_or_else(|_| self.next.to_string()))
        })
    }

    fn there(&mut self) -> Read<(PgValueFormat, &'r [u8])> {
        let raw = self.raw()?;
        self.column(raw)
    }

    pub(crate) fn maybe_text(&mut self) -> Read<Option<&'r str>> {
        match self.raw()? {
            None => Ok(None),
            Some((_, bytes)) => self.column(std::str::from_utf8(bytes).ok()).map(Some),
        }
    }

    pub(crate) fn text(&mut self) -> Read<&'r str> {
        let text = self.maybe_text()?;
        self.column(text)
    }

    pub(crate) fn maybe_bytes(&mut self) -> Read<Option<Vec<u8>>> {
        match self.raw()? {
            None => Ok(None),
            Some((PgValueFormat::Binary, bytes)) => Ok(Some(bytes.to_vec())),
            Some((PgValueFormat::Text, text)) => self.column(unhex(text)).map(Some),
        }
    }

    pub(crate) fn bytes(&mut self) -> Read<Vec<u8>> {
        let bytes = self.maybe_bytes()?;
        self.column(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let found = match self.there()? {
            (PgValueFormat::Binary, bytes) => bytes.try_into().ok(),
            (PgValueFormat::Text, text) => unhex(text).and_then(|bytes| bytes.try_into().ok()),
        };
        self.column(found)
    }

    pub(crate) fn maybe_number(&mut self) -> Read<Option<i64>> {
        let found = match self.raw()? {
            None => return Ok(None),
            Some((PgValueFormat::Binary, bytes)) => bytes.try_into().map(i64::from_be_bytes).ok(),
            Some((PgValueFormat::Text, text)) => parsed(text),
        };
        self.column(found).map(Some)
    }

    pub(crate) fn number(&mut self) -> Read<i64> {
        let number = self.maybe_number()?;
        self.column(number)
    }

    pub(crate) fn count(&mut self) -> Read<u32> {
        let found = match self.there()? {
            (PgValueFormat::Binary, bytes) => bytes.try_into().map(i32::from_be_bytes).ok(),
            (PgValueFormat::Text, text) => parsed(text),
        };
        let found: Option<i32> = found;
        self.column(found.and_then(|count| u32::try_from(count).ok()))
    }

    pub(crate) fn maybe_flag(&mut self) -> Read<Option<bool>> {
        match self.raw()? {
            None => Ok(None),
            Some((PgValueFormat::Binary, bytes)) => Ok(Some(bytes == [1])),
            Some((PgValueFormat::Text, text)) => Ok(Some(text == b"t")),
        }
    }

    pub(crate) fn flag(&mut self) -> Read<bool> {
        let flag = self.maybe_flag()?;
        self.column(flag)
    }

    /// NULL and `infinity` are [`Timestamp::NEVER`].
    pub(crate) fn time(&mut self) -> Read<Timestamp> {
        let found = match self.raw()? {
            None => return Ok(Timestamp::NEVER),
            Some((PgValueFormat::Binary, bytes)) => bytes.try_into().map(i64::from_be_bytes).ok().map(moment),
            Some((PgValueFormat::Text, text)) => std::str::from_utf8(text).ok().and_then(read_time),
        };
        self.column(found)
    }

    /// So many columns that are of no interest.
    pub(crate) fn skip(&mut self, count: usize) {
        self.next += count;
    }

    /// Whether the next column is NULL.
    pub(crate) fn is_null(&self) -> bool {
        self.row.try_get_raw(self.next).is_ok_and(|value| value.is_null())
    }
}

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn moment(count: i64) -> Timestamp {
    match count {
        i64::MAX => Timestamp::NEVER,
        count => Timestamp::from_micros(u64::try_from(count.saturating_add(EPOCH)).unwrap_or(0)),
    }
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"\\x")?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits.chunks(2).map(|pair| Some((digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?) as u8)).collect()
}

/// As PostgreSQL writes it in UTC: `2026-11-25 18:41:36.123456+00`.
fn read_time(text: &str) -> Option<Timestamp> {
    if text == "infinity" {
        return Some(Timestamp::NEVER);
    }
    let (date, time) = text.strip_suffix("+00")?.split_once(' ')?;
    let mut date = date.split('-').map(|number| number.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.split(':').map(|number| number.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let micros: i64 = if fraction.is_empty() { 0 } else { format!("{fraction:0<6}").parse().ok()? };
    // Days since 1970, with years that begin in March.
    let (shifted, march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = shifted.div_euclid(400);
    let of_era = shifted - era * 400;
    let of_year = (153 * march + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    u64::try_from(seconds.checked_mul(1_000_000)? + micros).ok().map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_their_places() {
        let mut values = Values::new(true);
        values.text("it's \\").unwrap();
        values.bytes(&[0, 0xff]).unwrap();
        values.number(-7).unwrap();
        let Values::Written(values) = values else { unreachable!() };
        assert_eq!(
            written("SELECT $2, $1::text, $3, $2", &values),
            "SELECT decode('00ff', 'hex'), convert_from(decode('69742773205c', 'hex'), 'UTF8')::text, (-7)::int8, \
             decode('00ff', 'hex')"
        );
    }

    #[test]
    fn moments_are_read_as_postgresql_writes_them() {
        for (text, micros) in [
            ("1970-01-01 00:00:00+00", 0),
            ("1999-12-31 23:59:59.9+00", 946_684_799_900_000),
            ("2000-01-01 00:00:00+00", 946_684_800_000_000),
            ("2024-02-29 12:30:01.000001+00", 1_709_209_801_000_001),
            ("2026-11-25 18:41:36.123456+00", 1_795_632_096_123_456),
            ("12026-03-01 00:00:00+00", 317_341_843_200_000_000),
        ] {
            assert_eq!(read_time(text).map(Timestamp::as_micros), Some(micros), "{text}");
        }
        assert_eq!(read_time("infinity"), Some(Timestamp::NEVER));
        for text in ["", "soon", "-infinity", "2026-11-25", "2026-11-25 18:41:36+01"] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }

    #[test]
    fn what_postgresql_does_not_know_is_never_or_the_longest() {
        assert_eq!(Time(Timestamp::NEVER).count(), i64::MAX);
        assert_eq!(Time(Timestamp::from_micros(u64::MAX - 1)).count(), i64::MAX);
        assert_eq!(moment(Time(Timestamp::from_micros(12)).count()).as_micros(), 12);
        assert_eq!(moment(i64::MAX), Timestamp::NEVER);
        assert_eq!(moment(i64::MIN).as_micros(), 0);
        assert_eq!(micros(Duration::MAX), LONGEST);
        const { assert!(EPOCH < 2 * LONGEST && 2 * LONGEST < LATEST) };
    }
}
