//! Who uses the system, logged in at every gateway.

use std::sync::Arc;
use std::time::Duration;

use client::wire::Uid;
use client::{Api, Error, Result};
use tokio::time::sleep;

const PASSWORD: &str = "correct horse battery";
const TRIES: u32 = 50;

/// One of them.
#[derive(Debug)]
pub(super) struct User {
    pub(super) uid: Uid,
    /// The same caller at each gateway.
    pub(super) apis: Vec<Api>,
}

/// Those who stay in their rooms, and those who come and go.
pub struct Users {
    pub(super) steady: Vec<Arc<User>>,
    pub(super) guests: Vec<Arc<User>>,
}

/// How many of each there are.
const STEADY: usize = 6;
const GUESTS: usize = 3;

impl Users {
    /// Registers them at a system that nobody uses yet.
    ///
    /// # Errors
    /// What the system refuses for longer than it may.
    pub async fn register(gateways: &[String]) -> Result<Self> {
        let mut users = Vec::new();
        for number in 0..STEADY + GUESTS {
            users.push(Arc::new(register(gateways, number).await?));
        }
        let guests = users.split_off(STEADY);
        Ok(Self {
            steady: users,
            guests,
        })
    }
}

async fn register(gateways: &[String], number: usize) -> Result<User> {
    let apis: Result<Vec<_>> = gateways.iter().map(|base| Api::new(base)).collect();
    let apis = apis?;
    let first = apis
        .first()
        .ok_or_else(|| Error::Usage("no gateway".to_owned()))?;
    let (name, email) = (format!("user{number}"), format!("user{number}@example.org"));
    let uid = patiently(async || first.register(&name, &email, PASSWORD).await).await?;
    let logged_in = patiently(async || first.login(&email, PASSWORD).await).await?;
    let token = logged_in.token().unwrap_or_default();
    let apis = apis
        .iter()
        .map(|api| api.with_token(token).with_deadline(super::CALL))
        .collect();
    Ok(User { uid, apis })
}

/// Asks again while that may help.
pub(super) async fn patiently<T>(ask: impl AsyncFn() -> Result<T>) -> Result<T> {
    let mut tries = 1;
    loop {
        match ask().await {
            Err(error) if error.retryable() && tries < TRIES => {
                tries += 1;
                sleep(Duration::from_millis(200)).await;
            }
            answer => return answer,
        }
    }
}
