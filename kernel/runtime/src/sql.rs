//! Statements for a store that runs on PostgreSQL and on SQLite.
//!
//! A store is written once, as functions over a [`Dialect`]. The bounds that sqlx asks of
//! each statement ("an `i64` can be bound", "a `String` can be read") are supertraits here,
//! and supertraits are implied: a function over `D: Dialect` needs no `where` clause.
//! A statement that must differ between the databases is a method or constant of a trait
//! of the store's own, which extends [`Dialect`] and which each adapter implements.
//!
//! ```
//! use base::Uid;
//! use runtime::StoreError;
//! use runtime::sql::{Cells, Dialect};
//!
//! /// Returns the name of a user.
//! async fn name<D: Dialect>(
//!     connection: &mut D::Connection,
//!     uid: Uid,
//! ) -> Result<Option<String>, StoreError> {
//!     let found = D::query("SELECT name FROM users WHERE uid = $1")
//!         .bind(uid.as_i64())
//!         .optional(connection)
//!         .await?;
//!     Ok(found.map(|row| row.cell(0)).transpose()?)
//! }
//! ```
//!
//! Statements are prepared once per connection and stay prepared.

use futures_util::future::BoxFuture;
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::{
    Arguments, ColumnIndex, Database, Decode, Encode, Error, Executor, IntoArguments, Pool, Row,
    Transaction, Type,
};

/// A database that a store can run on.
pub trait Dialect: Database<Row: Cells, Arguments: Binds, Connection: Runs<Self>> {
    /// Begins a transaction that writes.
    const BEGIN: &'static str;

    /// Returns the number of rows that a statement wrote or deleted.
    fn affected(result: &Self::QueryResult) -> u64;

    /// Binds a list as one argument: an array on PostgreSQL, a JSON array on SQLite.
    fn add_list(arguments: &mut Self::Arguments, list: &[i64]) -> Result<(), BoxDynError>;

    /// Makes a query of a statement. Placeholders are `$1`, `$2`, …
    fn query(sql: &'static str) -> Query<Self> {
        Query {
            sql,
            arguments: Ok(Self::Arguments::default()),
        }
    }
}

/// The pools of one service's database.
#[derive(Debug)]
pub struct Pools<D: Dialect> {
    /// Connections that write. SQLite has one, which [`Pools::begin`] locks.
    pub writer: Pool<D>,
    /// Connections for single questions. On PostgreSQL, the same pool.
    pub readers: Pool<D>,
}

impl<D: Dialect> Pools<D> {
    /// Begins a transaction that writes.
    pub async fn begin(&self) -> Result<Transaction<'static, D>, Error> {
        self.writer.begin_with(D::BEGIN).await
    }

    /// Returns a connection for one statement that writes.
    pub async fn writer(&self) -> Result<PoolConnection<D>, Error> {
        self.writer.acquire().await
    }

    /// Returns a connection for a statement that only reads.
    pub async fn reader(&self) -> Result<PoolConnection<D>, Error> {
        self.readers.acquire().await
    }
}

impl<D: Dialect> Clone for Pools<D> {
    fn clone(&self) -> Self {
        Self {
            writer: self.writer.clone(),
            readers: self.readers.clone(),
        }
    }
}

/// A statement and its arguments.
#[must_use = "a query does nothing before it is run"]
pub struct Query<D: Dialect> {
    sql: &'static str,
    arguments: Result<D::Arguments, BoxDynError>,
}

impl<D: Dialect> Query<D> {
    /// Binds the next argument.
    pub fn bind<T>(self, value: T) -> Self
    where
        D::Arguments: Bind<T>,
    {
        self.add(|arguments| arguments.add_value(value))
    }

    /// Binds a list as the next argument; see [`Dialect::add_list`].
    pub fn bind_list(self, list: &[i64]) -> Self {
        self.add(|arguments| D::add_list(arguments, list))
    }

    fn add(mut self, bind: impl FnOnce(&mut D::Arguments) -> Result<(), BoxDynError>) -> Self {
        if let Ok(arguments) = &mut self.arguments
            && let Err(error) = bind(arguments)
        {
            self.arguments = Err(error);
        }
        self
    }

    fn arguments(self) -> Result<D::Arguments, Error> {
        self.arguments.map_err(Error::Encode)
    }

    /// Runs the statement and returns the number of rows it wrote or deleted.
    pub async fn execute(self, connection: &mut D::Connection) -> Result<u64, Error> {
        let sql = self.sql;
        let done = connection.run(sql, self.arguments()?).await?;
        Ok(D::affected(&done))
    }

    /// Returns every row.
    pub async fn all(self, connection: &mut D::Connection) -> Result<Vec<D::Row>, Error> {
        let sql = self.sql;
        connection.rows(sql, self.arguments()?).await
    }

    /// Returns the first row, if there is one.
    pub async fn optional(self, connection: &mut D::Connection) -> Result<Option<D::Row>, Error> {
        let sql = self.sql;
        connection.row(sql, self.arguments()?).await
    }

    /// Returns the first row.
    pub async fn one(self, connection: &mut D::Connection) -> Result<D::Row, Error> {
        self.optional(connection).await?.ok_or(Error::RowNotFound)
    }

    /// Returns the first column of the first row.
    pub async fn value<T>(self, connection: &mut D::Connection) -> Result<T, Error>
    where
        D::Row: Cell<T>,
    {
        self.one(connection).await?.cell(0)
    }

    /// Returns the first column of the first row, if there is one.
    pub async fn optional_value<T>(self, connection: &mut D::Connection) -> Result<Option<T>, Error>
    where
        D::Row: Cell<T>,
    {
        let row = self.optional(connection).await?;
        row.map(|row| row.cell(0)).transpose()
    }

    /// Returns the first column of every row.
    pub async fn values<T>(self, connection: &mut D::Connection) -> Result<Vec<T>, Error>
    where
        D::Row: Cell<T>,
    {
        let rows = self.all(connection).await?;
        rows.iter().map(|row| row.cell(0)).collect()
    }
}

/// Arguments that take the types a statement may be given.
pub trait Binds:
    Bind<bool>
    + Bind<i16>
    + Bind<i64>
    + Bind<Option<i64>>
    + Bind<String>
    + for<'a> Bind<&'a str>
    + for<'a> Bind<&'a [u8]>
    + for<'a> Bind<Option<&'a [u8]>>
{
}

impl<A> Binds for A where
    A: Bind<bool>
        + Bind<i16>
        + Bind<i64>
        + Bind<Option<i64>>
        + Bind<String>
        + for<'a> Bind<&'a str>
        + for<'a> Bind<&'a [u8]>
        + for<'a> Bind<Option<&'a [u8]>>
{
}

/// Arguments that take a `T`.
pub trait Bind<T> {
    /// Adds the next argument.
    fn add_value(&mut self, value: T) -> Result<(), BoxDynError>;
}

impl<'t, A, T> Bind<T> for A
where
    A: Arguments,
    T: Encode<'t, A::Database> + Type<A::Database>,
{
    fn add_value(&mut self, value: T) -> Result<(), BoxDynError> {
        self.add(value)
    }
}

/// A row whose columns have the types a store may read.
pub trait Cells:
    Cell<bool>
    + Cell<i16>
    + Cell<Option<i16>>
    + Cell<i64>
    + Cell<Option<i64>>
    + Cell<String>
    + Cell<Option<String>>
    + Cell<Vec<u8>>
    + Cell<Option<Vec<u8>>>
{
    /// Returns the column at `index`, the first being 0.
    fn cell<T>(&self, index: usize) -> Result<T, Error>
    where
        Self: Cell<T>,
    {
        self.read(index)
    }
}

impl<R> Cells for R where
    R: Cell<bool>
        + Cell<i16>
        + Cell<Option<i16>>
        + Cell<i64>
        + Cell<Option<i64>>
        + Cell<String>
        + Cell<Option<String>>
        + Cell<Vec<u8>>
        + Cell<Option<Vec<u8>>>
{
}

/// A row whose columns can be read as `T`.
pub trait Cell<T> {
    /// Returns the column at `index`, the first being 0.
    fn read(&self, index: usize) -> Result<T, Error>;
}

impl<R, T> Cell<T> for R
where
    R: Row,
    usize: ColumnIndex<R>,
    T: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    fn read(&self, index: usize) -> Result<T, Error> {
        self.try_get(index)
    }
}

/// A connection that runs statements of the database `D`.
pub trait Runs<D: Database>: Send {
    /// Runs a statement to its end.
    fn run(
        &mut self,
        sql: &'static str,
        arguments: D::Arguments,
    ) -> BoxFuture<'_, Result<D::QueryResult, Error>>;

    /// Returns the first row, if there is one.
    fn row(
        &mut self,
        sql: &'static str,
        arguments: D::Arguments,
    ) -> BoxFuture<'_, Result<Option<D::Row>, Error>>;

    /// Returns every row.
    fn rows(
        &mut self,
        sql: &'static str,
        arguments: D::Arguments,
    ) -> BoxFuture<'_, Result<Vec<D::Row>, Error>>;
}

impl<C, D> Runs<D> for C
where
    D: Database,
    D::Arguments: IntoArguments<D>,
    C: Send,
    for<'c> &'c mut C: Executor<'c, Database = D>,
{
    fn run(
        &mut self,
        sql: &'static str,
        arguments: D::Arguments,
    ) -> BoxFuture<'_, Result<D::QueryResult, Error>> {
        Executor::execute(self, sqlx::query_with(sql, arguments))
    }

    fn row(
        &mut self,
        sql: &'static str,
        arguments: D::Arguments,
    ) -> BoxFuture<'_, Result<Option<D::Row>, Error>> {
        Executor::fetch_optional(self, sqlx::query_with(sql, arguments))
    }

    fn rows(
        &mut self,
        sql: &'static str,
        arguments: D::Arguments,
    ) -> BoxFuture<'_, Result<Vec<D::Row>, Error>> {
        Executor::fetch_all(self, sqlx::query_with(sql, arguments))
    }
}

#[cfg(test)]
mod laws;
