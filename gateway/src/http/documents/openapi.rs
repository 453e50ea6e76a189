//! The OpenAPI document: what each route tells of itself, and what all have in common.

use base::{Code, limits};
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::PathsBuilder;
use utoipa::openapi::schema::{Components, ComponentsBuilder};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Info, InfoBuilder, License, OpenApi, OpenApiBuilder, PathItem};
use wire::Problem;

use crate::http::route::{
    BEARER, QUERY_TICKET, QUERY_TOKEN, RAW_TOKEN, Route, Schemas, number, problem, string,
};

/// The whole of it.
pub(super) fn document(routes: Vec<Route>) -> OpenApi {
    let mut schemas = Schemas::new();
    let paths = routes
        .into_iter()
        .fold(PathsBuilder::new(), |paths, route| {
            let (path, method, operation) = route.describe(&mut schemas);
            // An item of a path that is there already joins it.
            paths.path(path, PathItem::new(method, operation))
        });
    let tags = TAGS.map(|(name, description)| {
        TagBuilder::new()
            .name(name)
            .description(Some(description))
            .build()
    });
    OpenApiBuilder::new()
        .info(info())
        .paths(paths)
        .components(Some(components(schemas)))
        .tags(Some(tags))
        .build()
}

const TAGS: [(&str, &str); 6] = [
    ("Accounts", "Who one is."),
    ("Sessions", "Where one is logged in, and for how long."),
    ("Rooms", "Rooms and who is in them."),
    (
        "Messages",
        "A room's log: what was said, and who came and went.",
    ),
    ("Live", "WebSockets; their frames are in `/asyncapi.json`."),
    ("Operation", "For load balancers and developers."),
];

fn info() -> Info {
    let description = format!(
        "Chat rooms with durable, numbered messages.\n\n\
         - Bodies are read as JSON whatever their Content-Type says. Keys match in any case, \
         of duplicate keys the last counts, unknown ones are passed over, `null` is absence. \
         A body has {body} KiB at most.\n\
         - Ids are integers from 1 to 2^53 − 1. Lengths count Unicode scalar values. \
         A key of an answer is absent rather than `null`.\n\
         - Errors are problem documents (RFC 9457), or, with `Accept: text/plain`, their \
         detail alone. `Code` is what a program looks at.\n\
         - Every answer has an `X-Request-ID`: the request's own if that is 1 to 64 ASCII \
         letters, digits and `-_.:`, else a new one.\n\
         - Who asks too often gets 429 with `Retry-After`, `RateLimit` and \
         `RateLimit-Policy`. What may be asked how often is the operator's choice.\n\
         - A write that is answered by 503 or 504, or by a broken connection, may have \
         happened. In a room's log it is safe to repeat with the same `Nonce` or \
         `Idempotency-Key`; elsewhere a 409 may be one's own first try.\n\
         - What GET answers HEAD answers too, without the body.\n\
         - Later versions add keys, routes and Types, and never change the meaning of one: \
         pass over what you do not know.",
        body = limits::BODY_BYTES / 1024,
    );
    let mut license = License::new("MIT");
    license.identifier = Some("MIT".to_owned());
    InfoBuilder::new()
        .title("Parley")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .license(Some(license))
        .build()
}

fn components(schemas: Schemas) -> Components {
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .schema_from::<Problem>()
        .schema_from::<Code>();
    let components = Code::ALL.into_iter().fold(components, |components, code| {
        components.response(
            code.as_str(),
            problem(code.http_status(), code, usual(code)),
        )
    });
    let components = headers()
        .into_iter()
        .fold(components, |components, (name, header)| {
            components.header(name, header)
        });
    let components = security()
        .into_iter()
        .fold(components, |components, (name, scheme)| {
            components.security_scheme(name, scheme)
        });
    components.build()
}

/// Why a request is refused with a code, where a route says nothing else.
const fn usual(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "the request breaks a rule; the detail names the field",
        Code::Unauthenticated => "no token, or one that is not valid",
        Code::PermissionDenied => "the caller may not",
        Code::NotFound => "no such thing, or none that the caller may know of",
        Code::Conflict => "it is so already, or the name is taken",
        Code::TooLarge => "the body is too large",
        Code::NonceReused => "the nonce was used for another request",
        Code::RateLimited => "too many requests; wait a little",
        Code::Unavailable => "a part that is needed is away; it may have happened all the same",
        Code::DeadlineExceeded => "it took too long; it may have happened all the same",
        Code::Internal => "internal error",
    }
}

fn headers() -> [(&'static str, Header); 5] {
    let text = |description: &str| {
        HeaderBuilder::new()
            .schema(Some(string()))
            .description(Some(description))
            .build()
    };
    let wait = HeaderBuilder::new()
        .schema(Some(number(1, u64::from(u32::MAX))))
        .description(Some("Seconds after which it may be tried again."))
        .build();
    [
        ("X-Request-ID", text("What finds this request in the logs.")),
        ("WWW-Authenticate", text("`Bearer`.")),
        ("Retry-After", wait),
        (
            "RateLimit",
            text(
                "What is left of the limit that was hit, and for how many seconds: `\"login\";r=0;t=2`.",
            ),
        ),
        (
            "RateLimit-Policy",
            text("The limit that was hit, requests and seconds: `\"login\";q=30;w=60`."),
        ),
    ]
}

fn security() -> [(&'static str, SecurityScheme); 4] {
    let key = |name: &str, description: &str| ApiKeyValue::with_description(name, description);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "`Authorization: Bearer TOKEN`, with the `token` of a login.",
        ))
        .build();
    [
        (BEARER, SecurityScheme::Http(bearer)),
        (
            RAW_TOKEN,
            SecurityScheme::ApiKey(ApiKey::Header(key(
                "Authorization",
                "`Authorization: TOKEN`, as clients of the original system send it.",
            ))),
        ),
        (
            QUERY_TOKEN,
            SecurityScheme::ApiKey(ApiKey::Query(key(
                "token",
                "For WebSockets of browsers, which cannot set headers.",
            ))),
        ),
        (
            QUERY_TICKET,
            SecurityScheme::ApiKey(ApiKey::Query(key(
                "ticket",
                "A ticket of `POST /ws-ticket`: once, within 30 s.",
            ))),
        ),
    ]
}
