//! Accounts and logins: user-service and session-service over HTTP.

use axum::Json;
use axum::extract::{RawQuery, State};
use base::{Code, Error, Timestamp, Uid, Username, limits};
use http::StatusCode;
use proto::session::CreateRequest;
use proto::session::sessions_client::SessionsClient;
use proto::user::ChangePasswordRequest as ChangePasswordCall;
use proto::user::users_client::UsersClient;
use proto::user::verify_password_request::Login;
use proto::user::{self, FindProfilesRequest, GetProfileRequest, VerifyPasswordRequest};
use runtime::{Call, Channel};
use serde_json::json;
use wire::request::{
    ChangeNameRequest, ChangePasswordRequest, LoginName, LoginRequest, RegisterRequest, UsersQuery,
};
use wire::response::{LoggedIn, Profile, Registered, Status, UserList};

use super::body::Body;
use super::caller::{Caller, Guest, Visitor};
use super::path::UserPath;
use super::problem::Answer;
use super::route::{Repeat, Rights, Route, WHEN};
use super::sessions::{logged_in, logged_in_example};
use crate::Gateway;

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    // A repeated login opens one more session, which nobody uses and which expires.
    let described = |route: Route| {
        route
            .about("Opens a session. Takes an address or a name; whatever is wrong is refused in the same words and the same time.")
            .takes::<LoginRequest>(json!({ "Email": "ann@example.org", "Password": "correct horse" }))
            .answers::<LoggedIn>(StatusCode::OK, "Logged in.", logged_in_example())
            .refuses(Code::Unauthenticated, "wrong name or password")
    };
    vec![
        Route::post("/register", Rights::Anybody, register)
            .named("register", "Make an account")
            .takes::<RegisterRequest>(json!({ "Username": "ann", "Email": "ann@example.org", "Password": "correct horse" }))
            .answers::<Registered>(StatusCode::CREATED, "Registered.", json!({ "UID": 1 }))
            .refuses(Code::Conflict, "the name or the address is taken"),
        described(Route::put("/login", Rights::Anybody, Repeat::Safe, login).named("login", "Log in")),
        described(Route::post("/login", Rights::Anybody, login).named("loginByPost", "Log in")),
        Route::get("/profile", Rights::Account, own_profile)
            .named("ownProfile", "See one's own profile")
            .answers::<Profile>(StatusCode::OK, "The caller's profile.", json!({ "UID": 1, "Username": "ann", "Email": "ann@example.org", "CreatedAt": WHEN })),
        Route::get("/profile/{UID}", Rights::Anybody, profile_of)
            .named("profile", "See somebody's profile")
            .about("Without the address, which is nobody else's business.")
            .answers::<Profile>(StatusCode::OK, "The user's profile, without `Email`.", json!({ "UID": 1, "Username": "ann", "CreatedAt": WHEN }))
            .refuses(Code::NotFound, "no such user"),
        Route::get("/users", Rights::Account, find)
            .named("users", "Look users up")
            .about("By numbers or by a name; who is not there is left out. One of the two is needed.")
            .query_text("UID", format!("Numbers with commas between them, {} at most.", limits::PROFILES))
            .query_text("Username", "The user of this name, in any case.")
            .answers::<UserList>(StatusCode::OK, "Who of them is there.", json!({ "Users": [
                { "UID": 1, "Username": "ann", "CreatedAt": WHEN },
            ] })),
        Route::put("/change-name", Rights::Account, Repeat::Refused, change_name)
            .named("changeName", "Go by another name")
            .takes::<ChangeNameRequest>(json!({ "NewName": "anna" }))
            .answers::<Status>(StatusCode::OK, "Renamed.", json!(Status::NAME_CHANGED))
            .refuses(Code::Conflict, "the name is taken"),
        Route::put("/change-password", Rights::Account, Repeat::Refused, change_password)
            .named("changePassword", "Take another password")
            .about("Ends all other sessions, also one whose login with the old password is under way.")
            .takes::<ChangePasswordRequest>(json!({ "OldPassword": "correct horse", "NewPassword": "battery staple" }))
            .answers::<Status>(StatusCode::OK, "Changed.", json!(Status::PASSWORD_CHANGED))
            .refuses(Code::PermissionDenied, "the old password is wrong"),
    ]
}

/// `POST /register`
pub(super) async fn register(
    State(gateway): State<Gateway>,
    visitor: Visitor,
    Body(body): Body,
) -> Answer<(StatusCode, Json<Registered>)> {
    gateway.limits.register(visitor.address.into())?;
    let RegisterRequest {
        username,
        email,
        password,
    } = RegisterRequest::parse(&body)?;
    let message = user::RegisterRequest {
        username: username.into_string(),
        email: email.into_string(),
        password: String::from_utf8_lossy(password.as_bytes()).into_owned(),
    };
    let request = visitor.call.request(message);
    let reply = visitor.call.wait(users(&gateway).register(request)).await?;
    let uid = Uid::try_from(reply.uid).map_err(Error::internal)?;
    Ok((StatusCode::CREATED, Json(Registered { uid })))
}

/// `PUT /login`, `POST /login`
pub(super) async fn login(
    State(gateway): State<Gateway>,
    visitor: Visitor,
    Body(body): Body,
) -> Answer<Json<LoggedIn>> {
    gateway.limits.login(visitor.address.into())?;
    let LoginRequest { name, password } = LoginRequest::parse(&body)?;
    gateway.limits.login_account(&name)?;
    let login = match name {
        LoginName::Email(email) => Login::Email(email),
        LoginName::Username(username) => Login::Username(username),
    };
    let message = VerifyPasswordRequest {
        login: Some(login),
        password,
    };
    let request = visitor.call.request(message);
    let verified = visitor
        .call
        .wait(users(&gateway).verify_password(request))
        .await?;
    Ok(Json(open_session(&gateway, visitor, verified).await?))
}

/// Opens the session that a right password is good for.
async fn open_session(
    gateway: &Gateway,
    visitor: Visitor,
    verified: user::VerifyPasswordReply,
) -> Answer<LoggedIn> {
    let message = CreateRequest {
        uid: verified.uid,
        password_version: verified.password_version,
        device: visitor.device,
        address: visitor.address.to_string(),
    };
    let mut sessions = SessionsClient::new(gateway.ports.sessions.clone());
    let request = visitor.call.request(message);
    Ok(logged_in(
        visitor.call.wait(sessions.create(request)).await?,
    )?)
}

/// `GET /profile`
pub(super) async fn own_profile(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Answer<Json<Profile>> {
    Ok(Json(profile(&gateway, &caller.call, caller.uid).await?))
}

/// `GET /profile/{UID}`: without the address, which is nobody else's business.
pub(super) async fn profile_of(
    State(gateway): State<Gateway>,
    guest: Guest,
    UserPath(uid): UserPath,
) -> Answer<Json<Profile>> {
    let profile = profile(&gateway, &guest.call, uid).await?;
    Ok(Json(Profile {
        email: None,
        ..profile
    }))
}

/// `GET /users`: those of the named that there are.
pub(super) async fn find(
    State(gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Answer<Json<UserList>> {
    let UsersQuery { uids, username } = UsersQuery::parse(query.as_deref())?;
    let users = profiles(&gateway, &caller.call, &uids, username).await?;
    Ok(Json(UserList { users }))
}

/// `PUT /change-name`
pub(super) async fn change_name(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(body): Body,
) -> Answer<Json<Status>> {
    let ChangeNameRequest { new_name } = ChangeNameRequest::parse(&body)?;
    let message = user::ChangeNameRequest {
        new_name: new_name.into_string(),
    };
    let request = caller.call.request(message);
    caller
        .call
        .wait(users(&gateway).change_name(request))
        .await?;
    Ok(Json(Status::NAME_CHANGED))
}

/// `PUT /change-password`
pub(super) async fn change_password(
    State(gateway): State<Gateway>,
    caller: Caller,
    Body(body): Body,
) -> Answer<Json<Status>> {
    let ChangePasswordRequest {
        old_password,
        new_password,
    } = ChangePasswordRequest::parse(&body)?;
    // Whoever has a token must not get to try passwords with it.
    gateway.limits.change_password(caller.uid)?;
    let request = caller.call.request(ChangePasswordCall {
        old_password,
        new_password: String::from_utf8_lossy(new_password.as_bytes()).into_owned(),
        session_id: caller.session.get(),
    });
    let mut users = users(&gateway);
    caller.call.wait(users.change_password(request)).await?;
    Ok(Json(Status::PASSWORD_CHANGED))
}

/// A user's profile; `not_found` when there is no such user.
pub(super) async fn profile(gateway: &Gateway, call: &Call, uid: Uid) -> base::Result<Profile> {
    let request = call.request(GetProfileRequest { uid: uid.get() });
    translate(call.wait(users(gateway).get_profile(request)).await?)
}

/// The profiles, without addresses, of those among these users that there are.
pub(super) async fn profiles(
    gateway: &Gateway,
    call: &Call,
    uids: &[Uid],
    username: Option<Username>,
) -> base::Result<Vec<Profile>> {
    let request = call.request(FindProfilesRequest {
        uids: uids.iter().map(|uid| uid.get()).collect(),
        username: username.map_or_else(String::new, Username::into_string),
    });
    let reply = call.wait(users(gateway).find_profiles(request)).await?;
    let profiles = reply.profiles.into_iter().map(|profile| {
        Ok(Profile {
            email: None,
            ..translate(profile)?
        })
    });
    profiles.collect()
}

fn translate(profile: user::Profile) -> base::Result<Profile> {
    Ok(Profile {
        uid: Uid::try_from(profile.uid).map_err(Error::internal)?,
        username: profile.username,
        email: Some(profile.email),
        created_at: Timestamp::from_micros(profile.created_at),
    })
}

fn users(gateway: &Gateway) -> UsersClient<Channel> {
    UsersClient::new(gateway.ports.users.clone())
}
