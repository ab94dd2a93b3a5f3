//! The tables, and how a database comes to have them.

use idem_runtime::Text;
use idem_runtime::store::StoreError;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use crate::failure;

/// The version of the tables that this program works with: how many steps it knows.
pub(crate) const VERSION: i32 = STEPS.len() as i32;

/// What brings the tables from one version to the next. A step that has been released never changes.
const STEPS: &[&str] = &[include_str!("schema.sql")];

/// The first step of all.
const BEFORE: &str =
    "CREATE TABLE idem_schema (version integer NOT NULL);\nINSERT INTO idem_schema VALUES (0);\n";

/// Migrations go on one after the other: "idem" as a number.
const LOCK: i64 = 0x6964_656d;

/// What PostgreSQL knows the tables by.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) schema: Option<Text>,
    pub(crate) record: String,
    pub(crate) fence: String,
    pub(crate) version: String,
}

impl Names {
    pub(crate) fn new(schema: Option<&Text>) -> Self {
        let before = schema.map(|schema| format!("{}.", quoted(schema))).unwrap_or_default();
        Names {
            schema: schema.cloned(),
            record: format!("{before}idem_record"),
            // It stands in quotes, as the argument of a function.
            fence: format!("{before}idem_fence").replace('\'', "''"),
            version: format!("{before}idem_schema"),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What makes the tables, from nothing, as text for people.
pub(crate) fn text() -> String {
    let mut text = format!("-- The tables of idem-postgres, version {VERSION}.\nBEGIN;\n{BEFORE}");
    for step in STEPS {
        text.push_str(step);
    }
    text.push_str(&format!("UPDATE idem_schema SET version = {VERSION};\nCOMMIT;\n"));
    text
}

/// Brings the tables to the present version. Several processes may try at once: one does it.
pub(crate) async fn migrate(
    connection: &mut PgConnection,
    names: &Names,
    store: &Text,
) -> Result<(), StoreError> {
    migrate_with(connection, names, store, STEPS).await
}

async fn migrate_with(
    connection: &mut PgConnection,
    names: &Names,
    store: &Text,
    steps: &[&str],
) -> Result<(), StoreError> {
    let known = i32::try_from(steps.len()).unwrap_or(i32::MAX);
    let said = |error| failure::migrating(error, store);
    let mut transaction = connection.begin().await.map_err(said)?;
    let run =
        async |sql: String, transaction: &mut PgConnection| transaction.execute(AssertSqlSafe(sql)).await;
    // Nobody's default makes it a commit that is not kept, and statements may take their time.
    run(format!("SELECT pg_advisory_xact_lock({LOCK}); SET LOCAL statement_timeout = 0"), &mut transaction)
        .await
        .map_err(said)?;
    if let Some(schema) = &names.schema {
        let schema = quoted(schema);
        // Asked first: who may use a schema need not be allowed to make one.
        let there = sqlx::query("SELECT to_regnamespace($1) IS NOT NULL").bind(&schema).persistent(false);
        let there: bool =
            there.fetch_one(&mut *transaction).await.and_then(|row| row.try_get(0)).map_err(said)?;
        if !there {
            run(format!("CREATE SCHEMA {schema}"), &mut transaction).await.map_err(said)?;
        }
        run(format!("SET LOCAL search_path = {schema}"), &mut transaction).await.map_err(said)?;
    }
    let version = match version(&mut transaction, names).await.map_err(said)? {
        Tables::None => {
            run(BEFORE.to_owned(), &mut transaction).await.map_err(said)?;
            0
        }
        Tables::Foreign => return Err(failure::foreign(store)),
        Tables::Version(version) if version > known => return Err(failure::newer(store, version)),
        Tables::Version(version) => version,
    };
    if version == known {
        return transaction.rollback().await.map_err(said);
    }
    for step in steps.iter().skip(usize::try_from(version).unwrap_or(0)) {
        run((*step).to_owned(), &mut transaction).await.map_err(said)?;
    }
    run(format!("UPDATE {} SET version = {known}", names.version), &mut transaction).await.map_err(said)?;
    transaction.commit().await.map_err(said)
}

/// What a database has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tables {
    None,
    /// Something of that name that is not ours.
    Foreign,
    Version(i32),
}

/// Looks at what the database has.
pub(crate) async fn version(connection: &mut PgConnection, names: &Names) -> Result<Tables, sqlx::Error> {
    // Without a prepared statement, so that it can be asked through every proxy.
    let sql = format!(
        "SELECT to_regclass('{}') IS NOT NULL, to_regclass('{}') IS NOT NULL",
        names.version.replace('\'', "''"),
        names.record.replace('\'', "''"),
    );
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
    match (row.try_get(0)?, row.try_get(1)?) {
        (false, false) => Ok(Tables::None),
        (false, true) => Ok(Tables::Foreign),
        (true, _) => {
            let sql = format!("SELECT version FROM {}", names.version);
            let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_optional(&mut *connection).await?;
            Ok(match row {
                Some(row) => Tables::Version(row.try_get(0)?),
                None => Tables::Foreign,
            })
        }
    }
}
