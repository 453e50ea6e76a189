//! The law of [`Channel`]: what a caller may rely on, whichever kind it holds.
//! Each sentence runs over HTTP/2 and in process.

use std::time::Duration;

use base::{Code, Error, Uid};
use proto::user::users_client::UsersClient;
use proto::user::users_server::{Users, UsersServer};
use proto::user::{
    ChangeNameReply, ChangeNameRequest, ChangePasswordReply, ChangePasswordRequest,
    FindProfilesReply, FindProfilesRequest, GetProfileRequest, Profile, RegisterReply,
    RegisterRequest, VerifyPasswordReply, VerifyPasswordRequest,
};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::Channel;
use crate::call::RequestId;
use crate::config::{Secret, Tls};
use crate::{Call, Lifecycle, status};

/// Answers by the UID asked for, so that a test chooses what goes wrong.
struct Fixture;

const PANICS: u64 = 1;
const HANGS: u64 = 2;
const REFUSES: u64 = 3;
const TELLS_WHO: u64 = 4;

#[tonic::async_trait]
impl Users for Fixture {
    async fn get_profile(
        &self,
        request: Request<GetProfileRequest>,
    ) -> Result<Response<Profile>, Status> {
        let call = Call::of(&request);
        match request.get_ref().uid {
            PANICS => panic!("on purpose"),
            HANGS => std::future::pending().await,
            REFUSES => Err(status::to_status(&Error::new(Code::Conflict, "taken"))),
            _ => Ok(Response::new(Profile {
                uid: call.uid().map_or(0, Uid::get),
                username: call.request_id().to_string(),
                created_at: i64::try_from(call.remaining().as_millis()).unwrap(),
                ..Profile::default()
            })),
        }
    }

    async fn register(
        &self,
        _: Request<RegisterRequest>,
    ) -> Result<Response<RegisterReply>, Status> {
        unreachable!()
    }
    async fn verify_password(
        &self,
        _: Request<VerifyPasswordRequest>,
    ) -> Result<Response<VerifyPasswordReply>, Status> {
        unreachable!()
    }
    async fn find_profiles(
        &self,
        _: Request<FindProfilesRequest>,
    ) -> Result<Response<FindProfilesReply>, Status> {
        unreachable!()
    }
    async fn change_name(
        &self,
        _: Request<ChangeNameRequest>,
    ) -> Result<Response<ChangeNameReply>, Status> {
        unreachable!()
    }
    async fn change_password(
        &self,
        _: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordReply>, Status> {
        unreachable!()
    }
}

struct Pair {
    good: Channel,
    wrong_token: Channel,
    _lifecycle: Lifecycle,
}

async fn remote() -> Pair {
    let lifecycle = Lifecycle::new();
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let token = Secret::new("the token of this test");
    let routes = Routes::new(UsersServer::new(Fixture));
    crate::serve(free, routes, &token, &Tls::default(), &lifecycle)
        .await
        .unwrap();
    let address = free.to_string().parse().unwrap();
    Pair {
        good: Channel::remote(&address, &token, &Tls::default()).unwrap(),
        wrong_token: Channel::remote(&address, &Secret::new("another"), &Tls::default()).unwrap(),
        _lifecycle: lifecycle,
    }
}

fn in_process() -> Pair {
    let lifecycle = Lifecycle::new();
    let token = Secret::new("the token of this test");
    let routes = Routes::new(UsersServer::new(Fixture));
    let good = Channel::in_process(routes, &token, &lifecycle).unwrap();
    let mut wrong_token = good.clone();
    wrong_token.authorization = super::bearer(&Secret::new("another")).unwrap();
    Pair {
        good,
        wrong_token,
        _lifecycle: lifecycle,
    }
}

async fn ask(channel: &Channel, uid: u64, call: &Call) -> base::Result<Profile> {
    let mut client = UsersClient::new(channel.clone());
    call.wait(client.get_profile(call.request(GetProfileRequest { uid })))
        .await
}

fn call() -> Call {
    Call::new(RequestId::parse("r-1").unwrap(), Duration::from_secs(5))
}

async fn who_acts_and_the_request_id_and_the_deadline_arrive(pair: Pair) {
    let call = call().by(Uid::new(42).unwrap());
    let got = ask(&pair.good, TELLS_WHO, &call).await.unwrap();
    assert_eq!((got.uid, got.username.as_str()), (42, "r-1"));
    assert!(
        (1..=5_000).contains(&got.created_at),
        "{} ms left",
        got.created_at
    );
}

async fn a_refusal_arrives_with_its_code(pair: Pair) {
    let error = ask(&pair.good, REFUSES, &call()).await.unwrap_err();
    assert_eq!((error.code(), error.detail()), (Code::Conflict, "taken"));
}

async fn a_panic_is_internal_and_the_service_lives_on(pair: Pair) {
    let error = ask(&pair.good, PANICS, &call()).await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    assert!(ask(&pair.good, TELLS_WHO, &call()).await.is_ok());
}

async fn a_handler_that_hangs_is_cut_off_at_the_deadline(pair: Pair) {
    let call = call().within(Duration::from_millis(100));
    let error = ask(&pair.good, HANGS, &call).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
}

async fn without_the_token_no_call_is_believed(pair: Pair) {
    let error = ask(&pair.wrong_token, TELLS_WHO, &call())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
}

/// Runs laws on a connection over the network.
async fn over_http2(law: impl AsyncFnOnce(Pair)) {
    law(remote().await).await;
}

/// Runs laws on calls that stay in this process.
async fn in_this_process(law: impl AsyncFnOnce(Pair)) {
    law(in_process()).await;
}

base::laws! {
    over_http2,
    in_this_process;
    who_acts_and_the_request_id_and_the_deadline_arrive,
    a_refusal_arrives_with_its_code,
    a_panic_is_internal_and_the_service_lives_on,
    a_handler_that_hangs_is_cut_off_at_the_deadline,
    without_the_token_no_call_is_believed,
}
