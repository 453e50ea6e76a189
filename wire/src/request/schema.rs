//! The one body whose schema is more than its fields: a login has one of two names.

use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, Object, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::LoginRequest;

impl PartialSchema for LoginRequest {
    fn schema() -> RefOr<Schema> {
        let by = |name: &str, description: &str| {
            let text = |description| {
                Object::builder()
                    .schema_type(Type::String)
                    .description(Some(description))
            };
            let password = text("As typed, without NUL.")
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)));
            Object::builder()
                .property(name, text(description))
                .property("Password", password)
                .required(name)
                .required("Password")
        };
        AnyOfBuilder::new()
            .description(Some(
                "By address or by name; the address counts if both say something.",
            ))
            .item(by("Email", "The address, in any case."))
            .item(by("Username", "The name, in any case."))
            .into()
    }
}

impl ToSchema for LoginRequest {}
