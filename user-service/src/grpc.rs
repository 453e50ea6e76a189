//! Translates, calls, translates.

use base::{Email, Error, Password, SessionId, Uid, Username, limits};
use proto::user::users_server::Users;
use proto::user::verify_password_request::Login as Said;
use proto::user::{
    ChangeNameReply, ChangeNameRequest, ChangePasswordReply, ChangePasswordRequest,
    FindProfilesReply, FindProfilesRequest, GetProfileRequest, Profile, RegisterReply,
    RegisterRequest, VerifyPasswordReply, VerifyPasswordRequest,
};
use runtime::Call;
use runtime::status::to_status;
use tonic::{Request, Response, Status};

use crate::domain::{Login, Profile as Shown};
use crate::service::Service;

/// The service as gRPC knows it.
pub(crate) struct Grpc(pub(crate) Service);

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(result: base::Result<T>) -> Answer<T> {
    result.map(Response::new).map_err(|error| to_status(&error))
}

#[tonic::async_trait]
impl Users for Grpc {
    async fn register(&self, request: Request<RegisterRequest>) -> Answer<RegisterReply> {
        answer(self.register(request.into_inner()).await)
    }

    async fn verify_password(
        &self,
        request: Request<VerifyPasswordRequest>,
    ) -> Answer<VerifyPasswordReply> {
        answer(self.verify(request.into_inner()).await)
    }

    async fn get_profile(&self, request: Request<GetProfileRequest>) -> Answer<Profile> {
        answer(self.profile(&request.into_inner()).await)
    }

    async fn find_profiles(
        &self,
        request: Request<FindProfilesRequest>,
    ) -> Answer<FindProfilesReply> {
        answer(self.profiles(&request.into_inner()).await)
    }

    async fn change_name(&self, request: Request<ChangeNameRequest>) -> Answer<ChangeNameReply> {
        let call = Call::of(&request);
        answer(self.rename(&call, &request.into_inner()).await)
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Answer<ChangePasswordReply> {
        let call = Call::of(&request);
        answer(self.change_password(&call, request.into_inner()).await)
    }
}

impl Grpc {
    async fn register(&self, asked: RegisterRequest) -> base::Result<RegisterReply> {
        let username = Username::parse("Username", &asked.username)?;
        let email = Email::parse("Email", &asked.email)?;
        let password = Password::parse("Password", &asked.password)?;
        let uid = self.0.register(username, email, password).await?;
        Ok(RegisterReply { uid: uid.get() })
    }

    /// A name, address or password that no account can have is wrong like any
    /// other, after the same work: the rules of registration are not for telling
    /// who is there.
    async fn verify(&self, asked: VerifyPasswordRequest) -> base::Result<VerifyPasswordReply> {
        let login = match asked.login {
            Some(Said::Email(email)) => Email::parse("Email", &email).map(Login::Email),
            Some(Said::Username(name)) => Username::parse("Username", &name).map(Login::Username),
            None => return Err(Error::invalid("Email", "is needed, or Username")),
        };
        let verified = self.0.verify(login.ok(), asked.password).await?;
        Ok(VerifyPasswordReply {
            uid: verified.uid.get(),
            password_version: verified.password_version,
        })
    }

    async fn profile(&self, asked: &GetProfileRequest) -> base::Result<Profile> {
        let profile = self.0.profile(Uid::try_from(asked.uid)?).await?;
        Ok(profile.into())
    }

    async fn profiles(&self, asked: &FindProfilesRequest) -> base::Result<FindProfilesReply> {
        if asked.uids.len() > limits::PROFILES {
            return Err(Error::invalid("UID", "may be 100 at most"));
        }
        let uids = asked.uids.iter().map(|&uid| Uid::try_from(uid));
        let uids: Vec<Uid> = uids.collect::<Result<_, _>>()?;
        let name = (!asked.username.is_empty()).then_some(&asked.username);
        let name = name.map(|name| Username::parse("Username", name));
        let found = self.0.profiles(&uids, name.transpose()?.as_ref()).await?;
        Ok(FindProfilesReply {
            profiles: found.into_iter().map(Profile::from).collect(),
        })
    }

    async fn rename(
        &self,
        call: &Call,
        asked: &ChangeNameRequest,
    ) -> base::Result<ChangeNameReply> {
        let name = Username::parse("NewName", &asked.new_name)?;
        self.0.rename(call.acting()?, name).await?;
        Ok(ChangeNameReply {})
    }

    async fn change_password(
        &self,
        call: &Call,
        asked: ChangePasswordRequest,
    ) -> base::Result<ChangePasswordReply> {
        let new = Password::parse("NewPassword", &asked.new_password)?;
        let kept = SessionId::new(asked.session_id);
        self.0
            .change_password(call, asked.old_password, new, kept)
            .await?;
        Ok(ChangePasswordReply {})
    }
}

impl From<Shown> for Profile {
    fn from(profile: Shown) -> Self {
        Self {
            uid: profile.uid.get(),
            username: profile.username,
            email: profile.email,
            created_at: profile.created_at.micros(),
        }
    }
}
