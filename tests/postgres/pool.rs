//! An application whose bodies hold all of its own connections: the store has others.

use idem::{PostgresStore, idempotent};
use idem_servers::Postgres;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::{PATIENCE, database};

#[idempotent(name = "pool.charge", key(order), skip(store, pool), store = store)]
async fn charge(store: &PostgresStore, order: i64, pool: &PgPool) -> Result<i64, idem::Error> {
    // Held until the body ends, while the others wait for it.
    let mut connection = pool.acquire().await.expect("a connection of the application");
    let (sum,): (i64,) = sqlx::query_as("SELECT $1 * 100 FROM pg_sleep(0.01)")
        .bind(order)
        .fetch_one(&mut *connection)
        .await
        .expect("a sum");
    // The attempt speaks with the store while its body holds one.
    idem::current().expect("an attempt").check().await?;
    Ok(sum)
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_bodies_that_hold_four_connections_all_finish() {
    let Some(server) = Postgres::start_with(&[("fsync", "off")]) else { return };
    let url = database(&server).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let pool = PgPoolOptions::new().max_connections(4).acquire_timeout(PATIENCE).connect(&url).await.unwrap();
    for _ in 0..2 {
        let calls: Vec<_> = (0..64)
            .map(|order| {
                let (store, pool) = (store.clone(), pool.clone());
                tokio::spawn(async move { (order, charge(&store, order, &pool).await) })
            })
            .collect();
        for call in calls {
            let (order, answer) = tokio::time::timeout(PATIENCE, call).await.expect("it finishes").unwrap();
            assert_eq!(answer.unwrap(), order * 100);
        }
    }
}
