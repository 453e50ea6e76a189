//! The laws of a dialect, on both databases.

use super::{Cells, Dialect, Pools};

/// Makes the table `law` anew; its columns have the types that stores use.
async fn table<D: Dialect>(pools: &Pools<D>) {
    let mut writer = pools.writer().await.unwrap();
    let made = D::query(
        "CREATE TABLE law (
             id BIGINT PRIMARY KEY,
             small SMALLINT NOT NULL,
             is_set BOOLEAN NOT NULL,
             text TEXT NOT NULL,
             number BIGINT
         )",
    );
    made.execute(&mut writer).await.unwrap();
}

async fn insert<D: Dialect>(
    connection: &mut D::Connection,
    id: i64,
    number: Option<i64>,
) -> Result<u64, sqlx::Error> {
    D::query("INSERT INTO law (id, small, is_set, text, number) VALUES ($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(-3_i16)
        .bind(true)
        .bind("x\u{1F600}'; --")
        .bind(number)
        .execute(connection)
        .await
}

async fn what_is_bound_is_read<D: Dialect>(pools: Pools<D>) {
    table(&pools).await;
    let mut tx = pools.begin().await.unwrap();
    for number in [None, Some(i64::MIN)] {
        let id = number.unwrap_or(i64::MAX);
        assert_eq!(insert::<D>(&mut tx, id, number).await.unwrap(), 1);
        let row = D::query("SELECT id, small, is_set, text, number FROM law WHERE id = $1")
            .bind(id)
            .one(&mut tx)
            .await
            .unwrap();
        let read = (row.cell(0), row.cell(1), row.cell(2));
        assert_eq!((read.0.unwrap(), read.1.unwrap()), (id, -3_i16));
        assert!(read.2.unwrap_or(false));
        let text: String = row.cell(3).unwrap();
        assert_eq!(text, "x\u{1F600}'; --");
        assert_eq!(row.cell::<Option<i64>>(4).unwrap(), number);
    }
}

async fn a_transaction_that_is_dropped_leaves_nothing<D: Dialect>(pools: Pools<D>) {
    table(&pools).await;
    let mut tx = pools.begin().await.unwrap();
    insert::<D>(&mut tx, 1, None).await.unwrap();
    drop(tx);
    let mut tx = pools.begin().await.unwrap();
    insert::<D>(&mut tx, 2, None).await.unwrap();
    tx.commit().await.unwrap();
    let mut reader = pools.reader().await.unwrap();
    let ids = D::query("SELECT id FROM law")
        .values::<i64>(&mut reader)
        .await;
    assert_eq!(ids.unwrap(), [2]);
}

async fn a_second_row_of_a_key_is_a_unique_violation<D: Dialect>(pools: Pools<D>) {
    table(&pools).await;
    let mut writer = pools.writer().await.unwrap();
    insert::<D>(&mut writer, 1, None).await.unwrap();
    let error = insert::<D>(&mut writer, 1, None).await.unwrap_err();
    let error = error.into_database_error().unwrap();
    assert!(error.is_unique_violation(), "{error}");
}

async fn no_row_is_none_and_no_error<D: Dialect>(pools: Pools<D>) {
    table(&pools).await;
    let mut reader = pools.reader().await.unwrap();
    let none = || D::query("SELECT id FROM law WHERE id = $1").bind(7_i64);
    let found: Option<i64> = none().optional_value(&mut reader).await.unwrap();
    assert_eq!(found, None);
    assert!(none().all(&mut reader).await.unwrap().is_empty());
    let one = none().value::<i64>(&mut reader).await;
    assert!(matches!(one, Err(sqlx::Error::RowNotFound)), "{one:?}");
}

/// Runs laws on a file that no other test has.
#[cfg(feature = "sqlite")]
async fn on_sqlite(law: impl AsyncFnOnce(Pools<sqlx::Sqlite>)) {
    let folder = tempfile::tempdir().unwrap();
    let none = sqlx::migrate::Migrator::with_migrations(Vec::new());
    let path = folder.path().join("laws.db");
    law(crate::sqlite::open(&path, none).await.unwrap()).await;
}

/// Runs laws in a schema that no other test has.
#[cfg(feature = "testing")]
async fn on_postgres(law: impl AsyncFnOnce(Pools<sqlx::Postgres>)) {
    let connect = |server: &_, name, lifecycle: &_| {
        let none = sqlx::migrate::Migrator::with_migrations(Vec::new());
        crate::postgres::connect(server, name, none, lifecycle)
    };
    crate::testing::on_postgres("sql", 2, connect, law).await;
}

base::laws! {
    #[cfg(feature = "sqlite")]
    on_sqlite,
    #[cfg(feature = "testing")]
    on_postgres;
    what_is_bound_is_read,
    a_transaction_that_is_dropped_leaves_nothing,
    a_second_row_of_a_key_is_a_unique_violation,
    no_row_is_none_and_no_error,
}
