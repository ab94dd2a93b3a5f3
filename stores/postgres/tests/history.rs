//! The history checker on a server that processes share, while they are killed and stopped and their connections cut.

mod common;

use common::{database, name_of, server};
use idem_postgres::PostgresStore;
use idem_runtime::conformance::history::{self, History};

#[test]
fn whatever_dies() {
    history::worker(PostgresStore::connect_blocking);
    let Some(server) = server() else { return };
    let url = database(server);
    let name = name_of(&url).to_owned();
    let cut = move || server.cut_connections(&name);
    let again = || history::this_test("whatever_dies");
    let history = History::new().kills(10).stops(5).lost(100).disturb("connections cut", cut);
    let report = history.processes(&url, again);
    println!("{report}");
    report.assert();
    assert!(report.count("bodies run again") > 0, "{report}");
}
