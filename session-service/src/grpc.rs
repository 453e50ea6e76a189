//! Translates, calls, translates.

mod ended;

use base::{SessionId, Uid};
use proto::session::sessions_server::Sessions;
use proto::session::{
    CreateRequest, EndOthersRequest, EndReply, EndRequest, EndedSinceRequest, Issued, ListReply,
    ListRequest, LivingReply, LivingRequest, MakeTicketReply, MakeTicketRequest,
    PasswordChangedReply, PasswordChangedRequest, RefreshRequest, TakeTicketRequest, Verdict,
    VerifyRequest,
};
use runtime::status::to_status;
use runtime::{Call, Lifecycle};
use tonic::{Request, Response, Status};

use crate::domain::{Client, Session};
use crate::grpc::ended::EndedStream;
use crate::service::{Opened, Service};
use crate::token::Statement;

/// Sessions of one question whether they live, most.
const LIVING: usize = 200;

/// The service as gRPC knows it.
pub(crate) struct Grpc {
    pub(crate) service: Service,
    pub(crate) lifecycle: Lifecycle,
}

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(result: base::Result<T>) -> Answer<T> {
    result.map(Response::new).map_err(|error| to_status(&error))
}

#[tonic::async_trait]
impl Sessions for Grpc {
    type EndedSinceStream = EndedStream;

    async fn create(&self, request: Request<CreateRequest>) -> Answer<Issued> {
        answer(self.create(&request.into_inner()).await)
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Answer<Verdict> {
        let statement = self.service.verify(&request.into_inner().token).await;
        answer(statement.map(verdict))
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Answer<Issued> {
        let asked = request.into_inner();
        let opened = self.service.refresh(&asked.refresh_token, &asked.key).await;
        answer(opened.map(issued))
    }

    async fn list(&self, request: Request<ListRequest>) -> Answer<ListReply> {
        answer(self.list(&request).await)
    }

    async fn end(&self, request: Request<EndRequest>) -> Answer<EndReply> {
        answer(self.end(&request).await)
    }

    async fn end_others(&self, request: Request<EndOthersRequest>) -> Answer<EndReply> {
        answer(self.end_others(&request).await)
    }

    async fn password_changed(
        &self,
        request: Request<PasswordChangedRequest>,
    ) -> Answer<PasswordChangedReply> {
        answer(self.password_changed(&request).await)
    }

    async fn make_ticket(&self, request: Request<MakeTicketRequest>) -> Answer<MakeTicketReply> {
        answer(self.make_ticket(&request).await)
    }

    async fn take_ticket(&self, request: Request<TakeTicketRequest>) -> Answer<Verdict> {
        let statement = self.service.take_ticket(&request.into_inner().ticket).await;
        answer(statement.map(verdict))
    }

    async fn ended_since(
        &self,
        request: Request<EndedSinceRequest>,
    ) -> Answer<Self::EndedSinceStream> {
        let after = request.into_inner().after;
        Ok(Response::new(ended::stream(
            self.service.clone(),
            after,
            &self.lifecycle,
        )))
    }

    async fn living(&self, request: Request<LivingRequest>) -> Answer<LivingReply> {
        answer(self.living(&request.into_inner()).await)
    }
}

impl Grpc {
    async fn create(&self, asked: &CreateRequest) -> base::Result<Issued> {
        let uid = Uid::try_from(asked.uid)?;
        let client = Client::new(&asked.device, &asked.address);
        let opened = self.service.open(uid, asked.password_version, client).await;
        opened.map(issued)
    }

    async fn list(&self, request: &Request<ListRequest>) -> base::Result<ListReply> {
        let uid = Call::of(request).acting()?;
        let sessions = self.service.list(uid).await?;
        Ok(ListReply {
            sessions: sessions.iter().map(shown).collect(),
        })
    }

    async fn end(&self, request: &Request<EndRequest>) -> base::Result<EndReply> {
        let uid = Call::of(request).acting()?;
        let session = SessionId::try_from(request.get_ref().session_id)?;
        self.service.end(uid, session).await?;
        Ok(EndReply {})
    }

    async fn end_others(&self, request: &Request<EndOthersRequest>) -> base::Result<EndReply> {
        let uid = Call::of(request).acting()?;
        let but = SessionId::new(request.get_ref().but);
        self.service.end_others(uid, but).await?;
        Ok(EndReply {})
    }

    async fn password_changed(
        &self,
        request: &Request<PasswordChangedRequest>,
    ) -> base::Result<PasswordChangedReply> {
        let uid = Call::of(request).acting()?;
        let asked = request.get_ref();
        let but = SessionId::new(asked.but);
        self.service
            .password_changed(uid, asked.password_version, but)
            .await?;
        Ok(PasswordChangedReply {})
    }

    async fn make_ticket(
        &self,
        request: &Request<MakeTicketRequest>,
    ) -> base::Result<MakeTicketReply> {
        let uid = Call::of(request).acting()?;
        let session = SessionId::try_from(request.get_ref().session_id)?;
        let (ticket, until) = self.service.make_ticket(uid, session).await?;
        Ok(MakeTicketReply {
            ticket,
            expires_at: until.micros(),
        })
    }

    async fn living(&self, asked: &LivingRequest) -> base::Result<LivingReply> {
        if asked.session_ids.len() > LIVING {
            return Err(base::Error::invalid("session_ids", "200 at most"));
        }
        let ids = asked.session_ids.iter().map(|&id| SessionId::try_from(id));
        let ids: Vec<SessionId> = ids.collect::<Result<_, _>>()?;
        let living = self.service.living(&ids).await?;
        Ok(LivingReply {
            session_ids: living.into_iter().map(SessionId::get).collect(),
        })
    }
}

fn issued(opened: Opened) -> Issued {
    Issued {
        token: opened.token,
        refresh_token: opened.refresh,
        expires_at: opened.expires_at.micros(),
        session_id: opened.session.get(),
    }
}

fn verdict(statement: Statement) -> Verdict {
    Verdict {
        uid: statement.uid.get(),
        session_id: statement.session.get(),
        expires_at: statement.expires_at.micros(),
    }
}

fn shown(session: &Session) -> proto::session::Session {
    proto::session::Session {
        session_id: session.id.get(),
        device: session.client.device().to_owned(),
        address: session.client.address().to_owned(),
        created_at: session.created_at.micros(),
        last_used: session.last_used.micros(),
    }
}
