//! A route as the OpenAPI document tells it. What every route has in common, such as
//! what it answers when it is asked too often, is said here once.

use std::collections::BTreeMap;

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

use crate::http::headers::{IDEMPOTENCY_KEY, RATE_LIMIT, RATE_LIMIT_POLICY, X_REQUEST_ID};

/// The names of the ways to show who one is.
pub(super) const BEARER: &str = "bearer";
pub(super) const RAW_TOKEN: &str = "token";
pub(super) const QUERY_TOKEN: &str = "tokenInQuery";
pub(super) const QUERY_TICKET: &str = "ticketInQuery";

const JSON: &str = "application/json";

/// The schemas that routes use, by name.
pub(super) type Schemas = BTreeMap<String, RefOr<Schema>>;

/// A route and what is known of it so far.
pub(super) struct Route {
    path: &'static str,
    method: HttpMethod,
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
    /// A route that has nothing yet but what each has.
    pub(super) fn new(
        (method, path): (HttpMethod, &'static str),
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let route = Self {
            path,
            method,
            operation: OperationBuilder::new()
                .operation_id(Some(id))
                .summary(Some(summary)),
            schemas: Schemas::new(),
            refusals: BTreeMap::new(),
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

    /// Needs a token.
    pub(super) fn authenticated(self) -> Self {
        self.allows(&[BEARER, RAW_TOKEN]).may(Code::Unauthenticated)
    }

    /// Looks at a token if there is one.
    pub(super) fn perhaps_authenticated(mut self) -> Self {
        self.operation = self.operation.security(SecurityRequirement::default());
        self.authenticated()
    }

    /// Needs a token, which may stand in the query.
    pub(super) fn authenticated_by_query(self) -> Self {
        self.authenticated().allows(&[QUERY_TOKEN, QUERY_TICKET])
    }

    fn allows(mut self, schemes: &[&str]) -> Self {
        for scheme in schemes {
            let requirement = SecurityRequirement::new::<_, [&str; 0], _>(*scheme, []);
            self.operation = self.operation.security(requirement);
        }
        self
    }

    /// Asks services, which may be away.
    pub(super) fn served(self) -> Self {
        self.may(Code::Unavailable).may(Code::DeadlineExceeded)
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

    /// The route as it stands in the document.
    pub(super) fn finish(self, schemas: &mut Schemas) -> (&'static str, HttpMethod, Operation) {
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
