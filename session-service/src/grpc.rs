//! Translates, calls, translates.

use base::Uid;
use proto::session::sessions_server::Sessions;
use proto::session::{CreateRequest, Issued, Verdict, VerifyRequest};
use runtime::status::to_status;
use tonic::{Request, Response, Status};

use crate::domain::Client;
use crate::service::Service;

/// The service as gRPC knows it.
pub(crate) struct Grpc(pub(crate) Service);

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(result: base::Result<T>) -> Answer<T> {
    result.map(Response::new).map_err(|error| to_status(&error))
}

#[tonic::async_trait]
impl Sessions for Grpc {
    async fn create(&self, request: Request<CreateRequest>) -> Answer<Issued> {
        answer(self.create(&request.into_inner()).await)
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Answer<Verdict> {
        answer(self.verify(&request.into_inner()).await)
    }
}

impl Grpc {
    async fn create(&self, asked: &CreateRequest) -> base::Result<Issued> {
        let uid = Uid::try_from(asked.uid)?;
        let client = Client::new(&asked.device, &asked.address);
        let opened = self.0.open(uid, asked.password_version, client).await?;
        Ok(Issued {
            token: opened.token,
            refresh_token: opened.refresh,
            expires_at: opened.expires_at.micros(),
            session_id: opened.session.get(),
        })
    }

    async fn verify(&self, asked: &VerifyRequest) -> base::Result<Verdict> {
        let statement = self.0.verify(&asked.token).await?;
        Ok(Verdict {
            uid: statement.uid.get(),
            session_id: statement.session.get(),
            expires_at: statement.expires_at.micros(),
        })
    }
}
