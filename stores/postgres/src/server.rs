//! What a server is, and what its settings make of the promises.

use idem_runtime::Text;
use idem_runtime::store::{Durability, StoreError};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Error, Row};

use crate::failure;
use crate::schema::{self, Names, Tables};

/// The oldest version that this works with.
const OLDEST: i64 = 140_000;

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    version: i64,
    read_only: bool,
    synchronous_commit: String,
    fsync: bool,
    full_page_writes: bool,
    standbys: bool,
    /// Of the table: `p` for permanent, `u` for unlogged.
    persistence: String,
    /// Whether the user may do what is needed.
    allowed: bool,
}

/// Asks a server what it is.
async fn ask(connection: &mut PgConnection, names: &Names) -> Result<Server, Error> {
    let record = names.record.replace('\'', "''");
    let fence = &names.fence;
    // Without a prepared statement, so that it can be asked through every proxy.
    let sql = format!(
        "SELECT current_setting('server_version_num')::int8, \
         pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on', \
         current_setting('synchronous_commit'), current_setting('fsync') = 'on', \
         current_setting('full_page_writes') = 'on', current_setting('synchronous_standby_names') <> '', \
         coalesce((SELECT relpersistence::text FROM pg_class WHERE oid = to_regclass('{record}')), 'p'), \
         coalesce(has_table_privilege(to_regclass('{record}'), 'SELECT') \
         AND has_table_privilege(to_regclass('{record}'), 'INSERT') \
         AND has_table_privilege(to_regclass('{record}'), 'UPDATE') \
         AND has_table_privilege(to_regclass('{record}'), 'DELETE') \
         AND has_sequence_privilege(to_regclass('{fence}'), 'USAGE'), true)"
    );
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await?;
    Ok(Server {
        version: row.try_get(0)?,
        read_only: row.try_get(1)?,
        synchronous_commit: row.try_get(2)?,
        fsync: row.try_get(3)?,
        full_page_writes: row.try_get(4)?,
        standbys: row.try_get(5)?,
        persistence: row.try_get(6)?,
        allowed: row.try_get(7)?,
    })
}

/// Checks that the server and its tables are what this program works with.
pub(crate) async fn check(
    connection: &mut PgConnection,
    names: &Names,
    store: &Text,
) -> Result<Server, StoreError> {
    let said = |error| match failure::Failure::from(error) {
        failure::Failure::Broken(error) => failure::connecting(error, store),
        failure => failure.explain(store),
    };
    let server = ask(connection, names).await.map_err(said)?;
    if let Some(why) = server.unfit() {
        return Err(StoreError::refused(store.clone(), why));
    }
    match schema::version(connection, names).await.map_err(said)? {
        Tables::None => return Err(failure::unmade(store, None)),
        Tables::Foreign => return Err(failure::foreign(store)),
        Tables::Version(version) if version > schema::VERSION => return Err(failure::newer(store, version)),
        Tables::Version(version) if version < schema::VERSION => {
            return Err(failure::unmade(store, Some(version)));
        }
        Tables::Version(_) => {}
    }
    if !server.allowed {
        return Err(failure::denied(store));
    }
    Ok(server)
}

impl Server {
    /// Why it cannot be used, whatever tables it has.
    fn unfit(&self) -> Option<String> {
        if self.version < OLDEST {
            let (found, oldest) = (self.version / 10_000, OLDEST / 10_000);
            return Some(format!("is PostgreSQL {found}: idem needs version {oldest} or later"));
        }
        self.read_only.then(|| failure::STANDBY.to_owned())
    }

    /// What its records survive, and why it is no more than that.
    pub(crate) fn durability(&self) -> (Durability, Vec<&'static str>) {
        let weak = [
            (
                self.synchronous_commit == "off",
                "synchronous_commit=off: a crash of the server loses what was answered last",
            ),
            (!self.fsync, "fsync=off: a power cut may lose or damage everything"),
            (!self.full_page_writes, "full_page_writes=off: a power cut may damage what was being written"),
            (self.persistence == "u", "idem_record is UNLOGGED: a crash of the server empties it"),
        ];
        let weak: Vec<_> = weak.into_iter().filter_map(|(is_so, what)| is_so.then_some(what)).collect();
        // With standbys named, commits wait for them: what is answered is on two machines.
        let durability = match &*self.synchronous_commit {
            _ if !weak.is_empty() => Durability::Machine,
            "on" | "remote_apply" | "remote_write" if self.standbys => Durability::Replicated,
            _ => Durability::Synced,
        };
        (durability, weak)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Server {
        Server {
            version: 150_000,
            read_only: false,
            synchronous_commit: "on".into(),
            fsync: true,
            full_page_writes: true,
            standbys: false,
            persistence: "p".into(),
            allowed: true,
        }
    }

    #[test]
    fn an_old_server_and_a_standby_are_refused() {
        assert_eq!(good().unfit(), None);
        let old = Server { version: 130_014, ..good() };
        assert_eq!(old.unfit().as_deref(), Some("is PostgreSQL 13: idem needs version 14 or later"));
        let standby = Server { read_only: true, ..good() };
        assert!(standby.unfit().is_some_and(|why| why.contains("connect to the primary")));
    }

    #[test]
    fn the_class_is_what_the_settings_give() {
        type Change = fn(&mut Server);
        let cases: [(Change, Durability); 9] = [
            (|_| {}, Durability::Synced),
            (|server| server.synchronous_commit = "local".into(), Durability::Synced),
            (|server| server.synchronous_commit = "off".into(), Durability::Machine),
            (|server| server.fsync = false, Durability::Machine),
            (|server| server.full_page_writes = false, Durability::Machine),
            (|server| server.persistence = "u".into(), Durability::Machine),
            (|server| server.standbys = true, Durability::Replicated),
            (
                |server| (server.standbys, server.synchronous_commit) = (true, "local".into()),
                Durability::Synced,
            ),
            (|server| (server.standbys, server.fsync) = (true, false), Durability::Machine),
        ];
        for (change, durability) in cases {
            let mut server = good();
            change(&mut server);
            let (found, weak) = server.durability();
            assert_eq!(found, durability, "{server:?}");
            assert_eq!(weak.is_empty(), durability > Durability::Machine, "{server:?}");
        }
    }
}
