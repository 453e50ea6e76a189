//! A route: its method, its path, who may call it, its handler, and what the OpenAPI document
//! tells of it. The router and the document are made from the same values, so neither has a
//! route that the other has not. What every route has in common, such as what it answers when
//! it is asked too often, is said here once.

use std::collections::BTreeMap;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, delete, get, post, put};
use base::{Code, Error, MAX_ID, Nonce};
use http::StatusCode;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{AnyOf, Array, Object, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Ref, RefOr, Required, Response, ResponseBuilder};
use wire::{PROBLEM_JSON, Problem};

use super::headers::{IDEMPOTENCY_KEY, RATE_LIMIT, RATE_LIMIT_POLICY, X_REQUEST_ID};
use crate::Gateway;

/// The names of the ways to show who one is.
pub(super) const BEARER: &str = "bearer";
pub(super) const RAW_TOKEN: &str = "token";
pub(super) const QUERY_TOKEN: &str = "tokenInQuery";
pub(super) const QUERY_TICKET: &str = "ticketInQuery";

/// A time for examples.
pub(super) const WHEN: &str = "2026-01-02T03:04:05.678901Z";

pub(super) const JSON: &str = "application/json";

/// The schemas that routes use, by name.
pub(super) type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// Anybody. A token is not looked at.
    Anybody,
    /// Anybody. A valid token may show more.
    TokenHelps,
    /// A user: a valid token is needed.
    Account,
    /// A user, whose token or ticket may also be in the query.
    AccountInQuery,
}

/// What a proxy may do with a request whose answer was lost. GET may always be sent again and
/// POST never, so only the other methods say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Send it again: the second answer is as good as the first.
    Safe,
    /// Give up: a second try would be refused for what the first has done. The path is in the
    /// list in `deploy/nginx/nginx.conf`.
    Refused,
}

/// A route and what is known of it so far.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) method: HttpMethod,
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "tests hold the handler to it; it makes the document's security"
        )
    )]
    pub(super) rights: Rights,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "a test holds nginx's configuration to it")
    )]
    pub(super) repeat: Repeat,
    handler: MethodRouter<Gateway>,
    /// Whether it asks services, which may be away.
    served: bool,
    operation: OperationBuilder,
    schemas: Schemas,
    refusals: BTreeMap<u16, Refusal>,
}

/// An answer that is a problem document.
#[derive(Clone, Copy)]
struct Refusal {
    code: Code,
    /// When this route says so; `None`: when every route does.
    why: Option<&'static str>,
}

impl Route {
    /// A GET, and the HEAD that goes with it.
    pub(super) fn get<H, T>(path: &'static str, rights: Rights, handler: H) -> Self
    where
        H: Handler<T, Gateway>,
        T: 'static,
    {
        Self::new((HttpMethod::Get, path), rights, Repeat::Safe, get(handler))
    }

    /// A POST.
    pub(super) fn post<H, T>(path: &'static str, rights: Rights, handler: H) -> Self
    where
        H: Handler<T, Gateway>,
        T: 'static,
    {
        Self::new(
            (HttpMethod::Post, path),
            rights,
            Repeat::Safe,
            post(handler),
        )
    }

    /// A PUT.
    pub(super) fn put<H, T>(path: &'static str, rights: Rights, repeat: Repeat, handler: H) -> Self
    where
        H: Handler<T, Gateway>,
        T: 'static,
    {
        Self::new((HttpMethod::Put, path), rights, repeat, put(handler))
    }

    /// A DELETE.
    pub(super) fn delete<H, T>(
        path: &'static str,
        rights: Rights,
        repeat: Repeat,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Gateway>,
        T: 'static,
    {
        Self::new((HttpMethod::Delete, path), rights, repeat, delete(handler))
    }

    fn new(
        (method, path): (HttpMethod, &'static str),
        rights: Rights,
        repeat: Repeat,
        handler: MethodRouter<Gateway>,
    ) -> Self {
        let route = Self {
            path,
            method,
            rights,
            repeat,
            handler,
            served: true,
            operation: OperationBuilder::new(),
            schemas: Schemas::new(),
            refusals: BTreeMap::new(),
        };
        let (bearer, raw) = (Some(BEARER), Some(RAW_TOKEN));
        let route = match rights {
            Rights::Anybody => route,
            Rights::TokenHelps => route.authenticated(&[None, bearer, raw]),
            Rights::Account => route.authenticated(&[bearer, raw]),
            Rights::AccountInQuery => {
                route.authenticated(&[bearer, raw, Some(QUERY_TOKEN), Some(QUERY_TICKET)])
            }
        };
        let route = route.may(Code::RateLimited).may(Code::Internal);
        segments(path).fold(route, |route, name| {
            let parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True);
            if name.ends_with("ID") {
                let parameter = parameter.schema(Some(number(1, MAX_ID)));
                route.with(parameter).may(Code::InvalidArgument)
            } else {
                route.with(parameter.schema(Some(string())))
            }
        })
    }

    /// Its id in the document, and what it is for.
    pub(super) fn named(mut self, id: &str, summary: &str) -> Self {
        let operation = self.operation.operation_id(Some(id));
        self.operation = operation.summary(Some(summary));
        self
    }

    /// Which part of the document it is in.
    pub(super) fn tagged(mut self, tag: &str) -> Self {
        self.operation = self.operation.tag(tag);
        self
    }

    /// Says more than the summary.
    pub(super) fn about(mut self, description: impl Into<String>) -> Self {
        self.operation = self.operation.description(Some(description));
        self
    }

    /// Looks at a token, which may be shown in these ways, or not at all.
    fn authenticated(mut self, ways: &[Option<&str>]) -> Self {
        for way in ways {
            let requirement = way.map_or_else(SecurityRequirement::default, |scheme| {
                SecurityRequirement::new::<_, [&str; 0], _>(scheme, [])
            });
            self.operation = self.operation.security(requirement);
        }
        self.may(Code::Unauthenticated)
    }

    /// Answers from what this process knows.
    pub(super) fn asks_nobody(mut self) -> Self {
        self.served = false;
        self
    }

    /// Takes a body.
    pub(super) fn takes<T: ToSchema>(mut self, example: Value) -> Self {
        self.learn::<T>();
        let schema = Ref::from_schema_name(T::name());
        self.body(schema.into(), example, Required::True)
    }

    /// Takes a body of a type, which need not be there.
    pub(super) fn may_take<T: ToSchema>(mut self, example: Value) -> Self {
        self.learn::<T>();
        let schema = Ref::from_schema_name(T::name());
        self.body(schema.into(), example, Required::False)
    }

    /// Takes a body that is like this, which need not be there.
    pub(super) fn may_take_any(self, schema: Object, example: Value) -> Self {
        self.body(schema.into(), example, Required::False)
    }

    fn body(mut self, schema: RefOr<Schema>, example: Value, required: Required) -> Self {
        let body: RequestBody = RequestBodyBuilder::new()
            .required(Some(required))
            .content(JSON, content(schema, example))
            .build();
        self.operation = self.operation.request_body(Some(body));
        self.may(Code::InvalidArgument)
            .may(Code::TooLarge)
            .may(Code::DeadlineExceeded)
    }

    /// Takes a number in the query.
    pub(super) fn query(self, name: &str, (least, most): (u64, u64), description: &str) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .description(Some(description))
            .schema(Some(number(least, most)));
        self.with(parameter).may(Code::InvalidArgument)
    }

    /// Takes a text in the query.
    pub(super) fn query_text(self, name: &str, description: impl Into<String>) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .description(Some(description))
            .schema(Some(string()));
        self.with(parameter).may(Code::InvalidArgument)
    }

    /// Takes an `Idempotency-Key`.
    pub(super) fn idempotent(mut self, description: &str) -> Self {
        self.learn::<Nonce>();
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .description(Some(description))
            .schema(Some(Ref::from_schema_name(Nonce::name())));
        debug_assert_eq!(IDEMPOTENCY_KEY, "idempotency-key");
        self.with(parameter).may(Code::InvalidArgument)
    }

    fn with(mut self, parameter: impl Into<Parameter>) -> Self {
        self.operation = self.operation.parameter(parameter);
        self
    }

    /// Answers with a body of a type.
    pub(super) fn answers<T: ToSchema>(
        mut self,
        status: StatusCode,
        when: &str,
        example: Value,
    ) -> Self {
        self.learn::<T>();
        let schema = Ref::from_schema_name(T::name());
        self.answers_as(status, when, JSON, content(schema, example))
    }

    /// Answers with a body of one of two types.
    pub(super) fn answers_either<A: ToSchema, B: ToSchema>(
        mut self,
        status: StatusCode,
        when: &str,
        example: Value,
    ) -> Self {
        self.learn::<A>();
        self.learn::<B>();
        let mut either = AnyOf::new();
        either.items = [A::name(), B::name()]
            .map(|name| Ref::from_schema_name(name).into())
            .into();
        self.answers_as(status, when, JSON, content(Schema::AnyOf(either), example))
    }

    /// Answers with an array.
    pub(super) fn answers_list<T: ToSchema>(
        mut self,
        status: StatusCode,
        when: &str,
        example: Value,
        most: usize,
    ) -> Self {
        self.learn::<T>();
        let mut schema = Array::new(Ref::from_schema_name(T::name()));
        schema.max_items = Some(most);
        self.answers_as(status, when, JSON, content(schema, example))
    }

    /// Answers with whatever this content is.
    pub(super) fn answers_as(
        mut self,
        status: StatusCode,
        when: &str,
        kind: &str,
        content: Content,
    ) -> Self {
        let response = described(when).content(kind, content).build();
        self.operation = self.operation.response(status.as_str(), response);
        self
    }

    /// Answers without a body.
    pub(super) fn answers_nothing(mut self, status: StatusCode, when: &str) -> Self {
        let response = described(when).build();
        self.operation = self.operation.response(status.as_str(), response);
        self
    }

    /// Refuses, for a reason of its own.
    pub(super) fn refuses(self, code: Code, why: &'static str) -> Self {
        self.refuses_as(code.http_status(), code, why)
    }

    /// Refuses with another status than the code's own.
    pub(super) fn refuses_as(mut self, status: u16, code: Code, why: &'static str) -> Self {
        let why = Some(why);
        self.refusals.insert(status, Refusal { code, why });
        self
    }

    /// Refuses for the reason that is the same everywhere.
    fn may(mut self, code: Code) -> Self {
        let refusal = Refusal { code, why: None };
        self.refusals.entry(code.http_status()).or_insert(refusal);
        self
    }

    /// Speaks of a type that no other type leads to.
    pub(super) fn mentions<T: ToSchema>(mut self) -> Self {
        self.learn::<T>();
        self
    }

    fn learn<T: ToSchema>(&mut self) {
        let mut schemas = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut schemas);
        self.schemas.extend(schemas);
    }

    /// Adds the route to a router.
    pub(super) fn serve(self, router: Router<Gateway>) -> Router<Gateway> {
        router.route(self.path, self.handler)
    }

    /// The route as it stands in the document.
    pub(super) fn describe(
        mut self,
        schemas: &mut Schemas,
    ) -> (&'static str, HttpMethod, Operation) {
        if self.served {
            self = self.may(Code::Unavailable).may(Code::DeadlineExceeded);
        }
        schemas.extend(self.schemas);
        let refusals = self.refusals.into_iter();
        let operation = refusals.fold(self.operation, |operation, (status, refusal)| {
            let Refusal { code, why } = refusal;
            let response = match why {
                Some(why) => RefOr::T(problem(status, code, why)),
                None => Ref::from_response_name(code.as_str()).into(),
            };
            operation.response(status.to_string(), response)
        });
        (self.path, self.method, operation.build())
    }
}

/// A refusal as the document tells it.
pub(super) fn problem(status: u16, code: Code, why: &str) -> Response {
    let example = Problem::with_status(&Error::new(code, why.to_owned()), status, "0f1e2d3c");
    let document = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .example(serde_json::to_value(example).ok())
        .build();
    let words = ContentBuilder::new().schema(Some(string())).build();
    let response = described(why)
        .content(PROBLEM_JSON, document)
        .content("text/plain", words);
    let more: &[&str] = match code {
        Code::Unauthenticated => &["WWW-Authenticate"],
        Code::RateLimited => &["Retry-After", "RateLimit", "RateLimit-Policy"],
        Code::Unavailable => &["Retry-After"],
        _ => &[],
    };
    debug_assert_eq!(
        (RATE_LIMIT.as_str(), RATE_LIMIT_POLICY.as_str()),
        ("ratelimit", "ratelimit-policy")
    );
    let add = |response: ResponseBuilder, name: &&str| response.header_ref(*name, header(name));
    more.iter().fold(response, add).build()
}

/// A response that carries what each carries.
fn described(when: &str) -> ResponseBuilder {
    debug_assert_eq!(X_REQUEST_ID, "x-request-id");
    ResponseBuilder::new()
        .description(when)
        .header_ref("X-Request-ID", header("X-Request-ID"))
}

fn header(name: &str) -> Ref {
    Ref::new(format!("#/components/headers/{name}"))
}

/// Content of a schema, with an example.
pub(super) fn content(schema: impl Into<RefOr<Schema>>, example: Value) -> Content {
    ContentBuilder::new()
        .schema(Some(schema))
        .example(Some(example))
        .build()
}

/// An integer within bounds.
pub(super) fn number(least: u64, most: u64) -> Object {
    Object::builder()
        .schema_type(Type::Integer)
        .minimum(Some(least))
        .maximum(Some(most))
        .build()
}

/// Any text.
pub(super) fn string() -> Object {
    Object::with_type(Type::String)
}

/// The names in the braces of a path.
fn segments(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}
