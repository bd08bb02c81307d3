//! Which events a reader returns.

use super::{auditrail_error, auditrail_status, guard, guard_plain, handle_mut, text};
use crate::error::{Error, Result};
use crate::read::{Filter, Order};
use std::ffi::c_char;

/// In what order events are read: one of AUDITRAIL_ORDER_….
pub type auditrail_order = i32;

/// The default, and the cheapest. Stream after stream: domains and categories
/// sorted by name, within each the events as they were written.
pub const AUDITRAIL_ORDER_STREAM: auditrail_order = 0;
/// All streams together, the lowest id first.
pub const AUDITRAIL_ORDER_OLDEST_FIRST: auditrail_order = 1;
/// All streams together, the highest id first.
pub const AUDITRAIL_ORDER_NEWEST_FIRST: auditrail_order = 2;

/// Which events to read. For one thread at a time.
pub struct auditrail_filter {
    pub(super) filter: Filter,
}

/// A new filter. It lets everything through, in stream order; what is added to
/// it narrows it. An event passes if, of each property for which something was
/// added, it has one of the added values. Free it with `auditrail_filter_free`.
#[unsafe(no_mangle)]
pub extern "C" fn auditrail_filter_new() -> *mut auditrail_filter {
    guard_plain(std::ptr::null_mut(), || {
        Box::into_raw(Box::new(auditrail_filter {
            filter: Filter::new(),
        }))
    })
}

/// Frees a filter. NULL is accepted. Readers that were opened with it go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_free(filter: *mut auditrail_filter) {
    guard_plain((), || {
        if !filter.is_null() {
            // SAFETY: by the header's rules it came from `_new` and is freed once.
            drop(unsafe { Box::from_raw(filter) });
        }
    });
}

/// Adds a domain to those that are let through.
/// AUDITRAIL_ERR_INVALID_ARGUMENT for a name that no domain can have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_add_domain(
    filter: *mut auditrail_filter,
    domain: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            let filter = handle_mut(filter, "filter")?;
            filter.filter.domain(text(domain, length, "domain")?)?;
            Ok(0)
        })
    }
}

/// Adds a category to those that are let through.
/// AUDITRAIL_ERR_INVALID_ARGUMENT for a name that no category can have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_add_category(
    filter: *mut auditrail_filter,
    category: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            let filter = handle_mut(filter, "filter")?;
            filter
                .filter
                .category(text(category, length, "category")?)?;
            Ok(0)
        })
    }
}

/// Adds a model name (UTF-8) to those that are let through.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_add_model_name(
    filter: *mut auditrail_filter,
    model_name: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            let filter = handle_mut(filter, "filter")?;
            let model_name = text(model_name, length, "model_name")?;
            filter.filter.model_name(model_name);
            Ok(0)
        })
    }
}

/// Adds an operation to those that are let through.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_add_operation(
    filter: *mut auditrail_filter,
    operation: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            let filter = handle_mut(filter, "filter")?;
            filter
                .filter
                .operation(text(operation, length, "operation")?);
            Ok(0)
        })
    }
}

/// Adds a user (logical_user_id, UTF-8) to those that are let through.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_add_user(
    filter: *mut auditrail_filter,
    user: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            let filter = handle_mut(filter, "filter")?;
            filter.filter.user(text(user, length, "user")?);
            Ok(0)
        })
    }
}

/// Lets only events with this request_id (UTF-8) through.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_set_request_id(
    filter: *mut auditrail_filter,
    request_id: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            let filter = handle_mut(filter, "filter")?;
            let request_id = text(request_id, length, "request_id")?;
            filter.filter.request_id(request_id);
            Ok(0)
        })
    }
}

/// Lets only event ids from `min` to `max` through, both included; 0 and
/// UINT64_MAX leave a side open. They are found by search: what comes before
/// is not read. AUDITRAIL_ERR_INVALID_ARGUMENT if `min` is above `max`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_set_event_ids(
    filter: *mut auditrail_filter,
    min: u64,
    max: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            handle_mut(filter, "filter")?.filter.event_ids(min, max)?;
            Ok(0)
        })
    }
}

/// Lets only timestamps (Unix seconds) from `min` to `max` through, both
/// included; INT64_MIN and INT64_MAX leave a side open.
/// AUDITRAIL_ERR_INVALID_ARGUMENT if `min` is above `max`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_set_timestamps(
    filter: *mut auditrail_filter,
    min: i64,
    max: i64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            handle_mut(filter, "filter")?.filter.timestamps(min, max)?;
            Ok(0)
        })
    }
}

/// The order of the events. AUDITRAIL_ERR_INVALID_ARGUMENT if it is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_set_order(
    filter: *mut auditrail_filter,
    order: auditrail_order,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            let order = order_of(order)?;
            handle_mut(filter, "filter")?.filter.order(order);
            Ok(0)
        })
    }
}

/// Returns this many events at most; 0, the default: no limit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_set_limit(
    filter: *mut auditrail_filter,
    events: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules.
    unsafe {
        guard(error, || {
            handle_mut(filter, "filter")?.filter.limit(events);
            Ok(0)
        })
    }
}

fn order_of(order: auditrail_order) -> Result<Order> {
    match order {
        AUDITRAIL_ORDER_STREAM => Ok(Order::Stream),
        AUDITRAIL_ORDER_OLDEST_FIRST => Ok(Order::OldestFirst),
        AUDITRAIL_ORDER_NEWEST_FIRST => Ok(Order::NewestFirst),
        _ => Err(Error::argument(format!("order {order} is none"))),
    }
}

/// The filter behind a handle; NULL: one that lets everything through.
///
/// # Safety
/// As for [`super::handle`].
pub(super) unsafe fn filter_of(filter: *const auditrail_filter) -> Filter {
    // SAFETY: as this function's own.
    unsafe { filter.as_ref() }.map_or_else(Filter::new, |filter| filter.filter.clone())
}
