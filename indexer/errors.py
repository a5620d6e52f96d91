"""Every error that the indexer raises on purpose, in one tree.

    IndexerError
    ├── ConfigError                 the configuration is wrong (exit 2)
    ├── QuestionError               the question is wrong (exit 2, HTTP 400); names the parameter
    │   ├── NotFoundError           no such block, pool or asset is known here (HTTP 404)
    │   │   └── NotCommittedError   the block is above the committed one (HTTP 425)
    │   ├── AbandonedBlockError     the chain gave the block up (HTTP 410); carries its successor
    │   ├── NothingCommittedError   no block is committed yet (HTTP 503)
    │   └── UnknownStateError       nobody can tell what an action in the pool does (HTTP 409)
    ├── SurroundingsError           disk, port, database or node stand in the way (exit 3)
    │   ├── DataDirectoryError
    │   ├── PortInUseError
    │   ├── EmbeddedServerError
    │   ├── DatabaseUnavailableError  lost or out of reach; a running daemon waits for it
    │   │   ├── DatabaseRefusalError  it cannot for now: deadlock, time-out, full disk
    │   │   │   └── BusyError       as much is in hand as may be
    │   │   │       ├── BeingCountedError    whole tables are counted, once in a process
    │   │   │       └── TooManyWatchesError  no more transactions may be watched for now
    │   │   └── DatabaseReadOnlyError  it takes no writes: a standby
    │   ├── DatabaseRightsError
    │   ├── BackupError             an archive, or the program for it, cannot be used
    │   ├── OutputError             a file cannot be written
    │   │   └── OutputClosedError   the reader of the output has closed it (exit 141)
    │   ├── WriterConflictError     another process writes this database
    │   └── SchemaError             migrations and code do not fit
    ├── NodeError                   the node's side (exit 3)
    │   ├── RetryableNodeError      the same call may go through later, or elsewhere
    │   │   ├── NodeUnreachableError
    │   │   ├── NodeBusyError       429 and its kin; carries retry_after
    │   │   ├── RangeTooLargeError  the same question, asked smaller, may be answered
    │   │   │   └── RangeTooFullError  answered, with more than the reader takes at once
    │   │   ├── RefusedRequestError  refused in words that do not say for how long
    │   │   └── InconsistentAnswerError  answers that contradict each other
    │   └── FatalNodeError          repeating it changes nothing
    │       ├── WrongChainError
    │       ├── UnsupportedSpecError
    │       └── RpcError            a JSON-RPC error object; carries code and data
    ├── RecordingError              a recorded chain is missing or broken (exit 2)
    ├── DecodeError
    │   └── UndecodableEventError   a known selector with an unfitting payload
    ├── DifferencesError            a shadow differs from the live tables by more than allowed
    ├── MissingObservationError     a replay needs a view answer that the log lacks
    ├── LogMovedError               the log was taken back meanwhile: look again
    ├── ProjectionsReplacedError    a shadow replay was swapped in: read them again
    └── ProjectionError             the fold met a state that cannot be

An error's docstring is its message where none is given. `exit_code` is what the command line
ends with. Library errors are turned into these at the edge where they arise.
"""

from __future__ import annotations


class IndexerError(Exception):
    """The indexer cannot go on."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class ConfigError(IndexerError):
    """The configuration is not valid."""

    exit_code = 2


class QuestionError(IndexerError):
    """The question cannot be answered as it was asked. `parameter` names what is wrong in it."""

    exit_code = 2

    def __init__(self, message: str = "", *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class NotFoundError(QuestionError):
    """The question names something that this database does not hold."""


class NotCommittedError(NotFoundError):
    """The block that the question names is above the committed block."""


class AbandonedBlockError(QuestionError):
    """The chain gave up the block that the question names.

    `block_number` is its height, `block_hash` the hash of the block whose state holds there now
    (the last stored one up to that height); None where no stored block does.
    """

    def __init__(
        self,
        message: str = "",
        *,
        parameter: str | None = None,
        block_number: int | None = None,
        block_hash: str | None = None,
    ) -> None:
        super().__init__(message, parameter=parameter)
        self.block_number = block_number
        self.block_hash = block_hash


class NothingCommittedError(QuestionError):
    """No block is committed yet: run `vesu-indexer run` first."""


class UnknownStateError(QuestionError):
    """What an action in the pool does rests on rates or a state that nobody knows."""


class SurroundingsError(IndexerError):
    """Something around the indexer stands in the way."""

    exit_code = 3


class DataDirectoryError(SurroundingsError):
    """The data directory cannot be used."""


class PortInUseError(SurroundingsError):
    """The port is taken by another process."""


class EmbeddedServerError(SurroundingsError):
    """The embedded PostgreSQL server cannot be started."""


class DatabaseUnavailableError(SurroundingsError):
    """The database cannot be reached."""


class DatabaseRefusalError(DatabaseUnavailableError):
    """The database cannot do for now what was asked."""


class BusyError(DatabaseRefusalError):
    """As much is in hand as may be; the same question may be answered later."""


class BeingCountedError(BusyError):
    """Whole tables are being counted for the first time."""


class TooManyWatchesError(BusyError):
    """The limit of watched transactions that are not decided yet is reached."""


class DatabaseReadOnlyError(DatabaseUnavailableError):
    """The database takes no writes."""


class DatabaseRightsError(SurroundingsError):
    """The database role lacks a right that the indexer needs."""


class BackupError(SurroundingsError):
    """The backup cannot be made or used."""


class OutputError(SurroundingsError):
    """The output cannot be written."""


class OutputClosedError(OutputError):
    """The reader of the output has closed it."""

    exit_code = 141


class WriterConflictError(SurroundingsError):
    """Another indexer writes to this database."""

    def __init__(self, message: str = "", holder: int | None = None) -> None:
        super().__init__(message)
        self.holder = holder
        """The server process that holds the writer's lock, where that is what was tried."""


class SchemaError(SurroundingsError):
    """The database's migrations do not fit this version of the indexer."""


class NodeError(IndexerError):
    """The Starknet node gave no usable answer. `kind` is its label in metrics and logs."""

    exit_code = 3
    kind = "other"

    def __init__(self, message: str = "", *, kind: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind or type(self).kind


class RetryableNodeError(NodeError):
    """The node gave no usable answer for now."""


class NodeUnreachableError(RetryableNodeError):
    """The node cannot be reached."""

    kind = "unreachable"


class NodeBusyError(RetryableNodeError):
    """The node asks to be left alone for a while.

    `retry_after`: the seconds it asks for. `is_rate`: it says that requests come too fast or that
    it has too much to do; else it names a limit that may be one of this request alone.
    """

    kind = "busy"

    def __init__(
        self, message: str = "", retry_after: float | None = None, *, is_rate: bool = True
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.is_rate = is_rate


class RangeTooLargeError(RetryableNodeError):
    """The node could not answer for so many blocks at once."""

    kind = "too_large"


class RangeTooFullError(RangeTooLargeError):
    """The range holds more than the reader takes at once; the node answered."""


class RefusedRequestError(RetryableNodeError):
    """The node refuses the request for now.

    `code` and `data` of the JSON-RPC error, None where there is none. `is_definite`: the words
    promise nothing else, such as an unknown method or a key that is not accepted.
    """

    kind = "refused"

    def __init__(
        self,
        message: str = "",
        code: int | None = None,
        data: object = None,
        *,
        is_definite: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.data = data
        self.is_definite = is_definite


class InconsistentAnswerError(RetryableNodeError):
    """The node's answers contradict each other."""

    kind = "inconsistent"


class FatalNodeError(NodeError):
    """The node refuses, and asking again changes nothing."""

    kind = "refused"


class WrongChainError(FatalNodeError):
    """The node serves another chain than the one configured."""

    kind = "wrong_chain"


class UnsupportedSpecError(FatalNodeError):
    """The node speaks a version of the Starknet RPC that the indexer does not know."""

    kind = "wrong_version"


class RpcError(FatalNodeError):
    """The node answered with a JSON-RPC error."""

    def __init__(self, message: str, code: int, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class RecordingError(IndexerError):
    """The recorded chain is missing or broken."""

    exit_code = 2


class DecodeError(IndexerError):
    """A payload does not have the shape that its type demands."""


class UndecodableEventError(DecodeError):
    """An event with a known selector has a payload that does not fit its ABI."""


class DifferencesError(IndexerError):
    """The shadow differs from the live tables by more than was allowed."""


class MissingObservationError(IndexerError):
    """The log lacks the answer of a contract view that the fold needs."""

    exit_code = 3


class LogMovedError(IndexerError):
    """The log was taken back to an earlier block while it was looked at; look again."""

    exit_code = 3


class ProjectionsReplacedError(IndexerError):
    """A shadow replay replaced the projections; they must be read again before going on."""


class ProjectionError(IndexerError):
    """An event contradicts the state that the earlier events made."""
