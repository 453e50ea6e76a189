//! user-service and session-service in a test's own hands.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, Code, Error, SystemClock};
use futures_util::Stream;
use proto::session::sessions_server::Sessions;
use proto::session::{
    CreateRequest, EndOthersRequest, EndReply, EndRequest, Ended, EndedSinceRequest, Issued,
    ListReply, ListRequest, LivingReply, LivingRequest, MakeTicketReply, MakeTicketRequest,
    PasswordChangedReply, PasswordChangedRequest, RefreshRequest, TakeTicketRequest, Verdict,
    VerifyRequest,
};
use proto::user::users_server::Users;
use proto::user::{
    ChangeNameReply, ChangeNameRequest, ChangePasswordReply, ChangePasswordRequest,
    FindProfilesReply, FindProfilesRequest, GetProfileRequest, Profile, RegisterReply,
    RegisterRequest, VerifyPasswordReply, VerifyPasswordRequest,
};
use runtime::status;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

type Reply<T> = Result<tonic::Response<T>, Status>;

const DAY: Duration = Duration::from_hours(24);

fn refuse<T>(code: Code, detail: &'static str) -> Reply<T> {
    Err(status::to_status(&Error::new(code, detail)))
}

pub(crate) struct FakeUsers;

#[tonic::async_trait]
impl Users for FakeUsers {
    async fn register(&self, _: tonic::Request<RegisterRequest>) -> Reply<RegisterReply> {
        Ok(RegisterReply { uid: 7 }.into())
    }

    async fn verify_password(
        &self,
        _: tonic::Request<VerifyPasswordRequest>,
    ) -> Reply<VerifyPasswordReply> {
        refuse(Code::Unauthenticated, "wrong name or password")
    }

    async fn get_profile(&self, request: tonic::Request<GetProfileRequest>) -> Reply<Profile> {
        let uid = request.into_inner().uid;
        assert!(uid != 666, "on purpose");
        let profile = Profile {
            uid,
            username: "ann".into(),
            email: "ann@example.org".into(),
            created_at: 0,
        };
        Ok(profile.into())
    }

    async fn find_profiles(
        &self,
        _: tonic::Request<FindProfilesRequest>,
    ) -> Reply<FindProfilesReply> {
        Ok(FindProfilesReply::default().into())
    }

    async fn change_name(&self, _: tonic::Request<ChangeNameRequest>) -> Reply<ChangeNameReply> {
        refuse(Code::Conflict, "that name is taken")
    }

    async fn change_password(
        &self,
        _: tonic::Request<ChangePasswordRequest>,
    ) -> Reply<ChangePasswordReply> {
        refuse(Code::PermissionDenied, "the old password is wrong")
    }
}

/// Knows one token, `good`, of session 1 of user 7, and counts how often it is asked.
pub(crate) struct FakeSessions {
    pub(crate) verified: Arc<AtomicUsize>,
    pub(crate) living: Arc<Mutex<Vec<u64>>>,
    listeners: mpsc::Sender<Listener>,
}

/// Who listens to what ends.
pub(crate) struct Listener {
    /// From where on.
    pub(crate) after: Option<u64>,
    /// What he is told; he hears it as long as this is held.
    pub(crate) ends: mpsc::Sender<Result<Ended, Status>>,
}

impl FakeSessions {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Listener>) {
        let (sender, listeners) = mpsc::channel(4);
        let fake = Self {
            verified: Arc::default(),
            living: Arc::default(),
            listeners: sender,
        };
        (fake, listeners)
    }
}

#[tonic::async_trait]
impl Sessions for FakeSessions {
    type EndedSinceStream = Pin<Box<dyn Stream<Item = Result<Ended, Status>> + Send>>;

    async fn create(&self, _: tonic::Request<CreateRequest>) -> Reply<Issued> {
        Err(Status::unimplemented("no login succeeds here"))
    }

    async fn verify(&self, request: tonic::Request<VerifyRequest>) -> Reply<Verdict> {
        self.verified.fetch_add(1, Ordering::SeqCst);
        if request.into_inner().token != "good" {
            return refuse(Code::Unauthenticated, "the token is not valid");
        }
        let verdict = Verdict {
            uid: 7,
            session_id: 1,
            expires_at: SystemClock.now().after(DAY).micros(),
        };
        Ok(verdict.into())
    }

    async fn refresh(&self, _: tonic::Request<RefreshRequest>) -> Reply<Issued> {
        refuse(Code::Unauthenticated, "the refresh token is not valid")
    }

    async fn list(&self, _: tonic::Request<ListRequest>) -> Reply<ListReply> {
        Ok(ListReply::default().into())
    }

    async fn end(&self, _: tonic::Request<EndRequest>) -> Reply<EndReply> {
        refuse(Code::NotFound, "no such session")
    }

    async fn end_others(&self, _: tonic::Request<EndOthersRequest>) -> Reply<EndReply> {
        Ok(EndReply {}.into())
    }

    async fn password_changed(
        &self,
        _: tonic::Request<PasswordChangedRequest>,
    ) -> Reply<PasswordChangedReply> {
        Ok(PasswordChangedReply {}.into())
    }

    async fn make_ticket(&self, _: tonic::Request<MakeTicketRequest>) -> Reply<MakeTicketReply> {
        refuse(Code::Unauthenticated, "the session has ended")
    }

    async fn take_ticket(&self, _: tonic::Request<TakeTicketRequest>) -> Reply<Verdict> {
        refuse(Code::Unauthenticated, "the ticket is not valid")
    }

    async fn ended_since(
        &self,
        request: tonic::Request<EndedSinceRequest>,
    ) -> Reply<Self::EndedSinceStream> {
        let after = request.into_inner().after;
        let (ends, stream) = mpsc::channel(16);
        let taken = self.listeners.try_send(Listener { after, ends });
        let stream: Self::EndedSinceStream = match taken {
            Ok(()) => Box::pin(ReceiverStream::new(stream)),
            // Whoever is not listened to says nothing.
            Err(_) => Box::pin(tokio_stream::pending()),
        };
        Ok(stream.into())
    }

    async fn living(&self, request: tonic::Request<LivingRequest>) -> Reply<LivingReply> {
        let living = self.living.lock().unwrap().clone();
        let asked = request.into_inner().session_ids.into_iter();
        Ok(LivingReply {
            session_ids: asked.filter(|id| living.contains(id)).collect(),
        }
        .into())
    }
}
