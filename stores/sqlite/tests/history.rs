//! The history checker on a file that processes share, while they are killed and stopped.

use idem_runtime::conformance::history::{self, History};
use idem_runtime::store::{Asked, Profile, Request, Store};
use idem_sqlite::SqliteStore;

#[test]
fn whatever_dies() {
    history::worker(SqliteStore::open);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("orders.db").display());
    let again = || history::this_test("whatever_dies");
    let report = History::new().kills(10).stops(5).lost(100).processes(&url, again);
    println!("{report}");
    report.assert();
    assert!(report.count("bodies run again") > 0, "{report}");
}

/// A file that lets an attempt go too early.
struct Hasty(SqliteStore);

impl Store for Hasty {
    fn ask(&self, request: Request) -> Asked {
        self.0.ask(match request {
            Request::Claim(claim) => {
                let mut claim = claim.as_ref().clone();
                claim.lease /= 3;
                Request::Claim(claim.into())
            }
            other => other,
        })
    }

    fn profile(&self) -> &Profile {
        self.0.profile()
    }
}

#[test]
fn a_lease_that_is_not_kept_is_found_out() {
    history::worker(|url| SqliteStore::open(url).map(Hasty));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("orders.db").display());
    let again = || history::this_test("a_lease_that_is_not_kept_is_found_out");
    let report = History::new().kills(u64::MAX).processes(&url, again);
    let first = report.violations().first().expect("a violation is found");
    assert_eq!(first.promise, "I1", "{report}");
    assert!(report.to_string().contains("\"claimed\""), "{report}");
}
