"""The only map from kinds of error to HTTP statuses."""

from solva import errors

STATUS: dict[type[BaseException], int] = {
    errors.NotModified: 304,
    errors.InvalidParameter: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.NotImplementedHere: 501,
    errors.Unavailable: 503,
    errors.SystemFailure: 500,
}


def status_of(error: BaseException) -> int:
    """The status of an error; 500 for what nobody foresaw."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500
