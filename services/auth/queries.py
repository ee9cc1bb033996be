"""Every query of the auth service: users, the families of their refresh tokens, signing keys."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError

from services.auth import guesses, letters
from services.auth.domain import Family, Use, User, digest
from services.auth.guesses import Allowance, Guesses
from services.auth.letters import Letter, State
from services.auth.rotation import SigningKey
from services.shared import emails
from services.shared.contract.codes import Code
from services.shared.contract.decisions import Aggregate, Refused
from services.shared.database.store import Store, from_document, readable, to_document
from services.shared.http.rights import ROLES

BY_EMAIL: Final = "email_1"
# Few are ever in it while the mail server is there: a letter that was sent costs nothing there.
TO_BE_SENT: Final = {"state": State.WAITING.value}
INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    User.collection: (
        IndexModel("email", unique=True, name=BY_EMAIL),
        IndexModel("roles"),
        IndexModel("totp.secret", sparse=True),
    ),
    Family.collection: (IndexModel("expiresAt", expireAfterSeconds=0),),
    Guesses.collection: (IndexModel("expiresAt", expireAfterSeconds=0),),
    Letter.collection: (
        IndexModel("expiresAt", expireAfterSeconds=0),
        IndexModel([("state", ASCENDING), ("due", ASCENDING)], partialFilterExpression=TO_BE_SENT),
    ),
    SigningKey.collection: (),
}
Stored = TypeVar("Stored", bound=Aggregate)


class EmailTaken(Refused):
    """An account has this address already."""

    code = Code.EMAIL_TAKEN


class Change(NamedTuple):
    """An account before a rule and after it; the same where the rule changed nothing."""

    before: User
    after: User


class Kept(NamedTuple):
    """What there is of an account beside itself."""

    families: Sequence[Family]
    letters: Sequence[Letter]


class Waiting(NamedTuple):
    """Letters to be sent."""

    number: int
    # Since when the oldest of them waits.
    since: datetime | None


class Accounts:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def user(self, id_: str) -> User | None:
        return await self._store.get(User, id_)

    async def user_of(self, email: str) -> User | None:
        """However the address is spelled."""
        document = await self._store.collection(User).find_one({"email": emails.normalize(email)})
        return None if document is None else from_document(User, document)

    async def are_indexed(self) -> bool:
        """Whether no two accounts can have one address."""
        return BY_EMAIL in await self._store.collection(User).index_information()

    async def add(self, user: User) -> None:
        """Raise EmailTaken when an account has the address already."""
        try:
            await self._store.collection(User).insert_one(to_document(user))
        except DuplicateKeyError:
            raise EmailTaken("an account with this e-mail address exists already: log in") from None

    async def seeded(self) -> list[User]:
        """The administrators whom the settings name, or named."""
        return [user for user in await self.staff() if user.seeded]

    async def staff(self) -> list[User]:
        """All accounts with a role, by address: the shop's own people, of whom there are few."""
        found = self._store.collection(User).find({"roles": {"$in": [str(role) for role in ROLES]}})
        return sorted(readable(User, await found.to_list()), key=lambda user: user.email)

    async def change(self, user_id: str, rule: Callable[[User], User]) -> Change | None:
        """Apply a rule to an account, whatever other replicas do. Return None where there is none."""
        while (user := await self.user(user_id)) is not None:
            changed = rule(user)
            if changed == user:
                return Change(user, user)
            if (stored := await self.replace(user, changed)) is not None:
                return Change(user, stored)
        return None

    async def sealed_otherwise(self, newest: str) -> AsyncIterator[User]:
        """The accounts with a second factor whose sealed secret begins otherwise than with `newest`."""
        after = newest[:-1] + chr(ord(newest[-1]) + 1)
        others = [{"totp.secret": {"$lt": newest}}, {"totp.secret": {"$gte": after}}]
        async for document in self._store.collection(User).find({"$or": others}):
            for user in readable(User, [document]):
                yield user

    async def kept_of(self, user: User) -> Kept:
        """Without an index: once in an account's life, when its owner leaves or asks for it."""
        theirs = {"userId": user.id}
        families = self._store.collection(Family).find(theirs)
        owed = self._store.collection(Letter).find(theirs)
        return Kept(
            [from_document(Family, each) async for each in families],
            [from_document(Letter, each) async for each in owed],
        )

    async def erase(self, user: User) -> bool:
        """Remove the account with all there is of it: itself last, so that what breaks off goes on again.

        Return whether it was as it was read.
        """
        theirs: dict[str, Any] = {"userId": user.id}
        email = digest(user.email)
        counted = [f"{scope}:{email}" for scope in ("account", *letters.Kind)]
        families = [f"client:{family.id}" for family in (await self.kept_of(user)).families]
        ids = [*counted, *families, f"password:{user.id}", f"code:{user.id}"]
        await self._store.collection(Guesses).delete_many({"_id": {"$in": ids}})
        await self._store.collection(Letter).delete_many(theirs)
        await self._store.collection(Family).delete_many(theirs)
        removed = await self._store.collection(User).delete_one({"_id": user.id, "version": user.version})
        return removed.deleted_count == 1

    async def begin(self, family: Family) -> None:
        await self._store.collection(Family).insert_one(to_document(family))

    async def use(
        self, family_id: str, decide: Callable[[Family], tuple[Family, Use]]
    ) -> tuple[Family, Use] | None:
        """Apply a rule to a family, whatever other replicas do. Return None for an unknown family."""
        while (family := await self._store.get(Family, family_id)) is not None:
            changed, outcome = decide(family)
            if changed == family:
                return family, outcome
            if (stored := await self.replace(family, changed)) is not None:
                return stored, outcome
        return None

    async def family(self, family_id: str) -> Family | None:
        return await self._store.get(Family, family_id)

    async def add_letter(self, letter: Letter) -> None:
        await self._store.collection(Letter).insert_one(to_document(letter))

    async def letter(self, id_: str) -> Letter | None:
        return await self._store.get(Letter, id_)

    async def lease_letter(self, now: datetime) -> Letter | None:
        """The one that is due longest, for whoever asks first; None where none is.

        Until the lease ends nobody else gets it. It is counted as a try. A letter is leased, not the sending
        of all of them (`engine/holding.py`): they have no order that one replica would have to keep. So all
        replicas send, and where one dies, its own few letters wait for their leases to end, and no others.
        """
        document = await self._store.collection(Letter).find_one_and_update(
            {**TO_BE_SENT, "due": {"$lte": now}},
            {"$set": {"due": now + letters.LEASE}, "$inc": {"tries": 1, "version": 1}},
            sort=[("due", ASCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        return next(iter(readable(Letter, [] if document is None else [document])), None)

    async def waiting_letters(self) -> Waiting:
        """What the mail server has not taken on yet. Reads all of it: little, while that is there."""
        counted = {"_id": None, "number": {"$sum": 1}, "since": {"$min": "$createdAt"}}
        found = await self._store.collection(Letter).aggregate([{"$match": TO_BE_SENT}, {"$group": counted}])
        async for one in found:
            return Waiting(one["number"], one["since"])
        return Waiting(0, None)

    async def remove_letter(self, letter: Letter) -> bool:
        """Whether this did it, and nobody else."""
        removed = await self._store.collection(Letter).delete_one({"_id": letter.id})
        return removed.deleted_count == 1

    async def count_guess(self, id_: str, now: datetime, allowed: Allowance) -> timedelta:
        """Count a wrong password before it is tried: of many at once, no more are tried than have room.

        Return how long to wait first, where there is no room: it is not counted then.
        """
        while True:
            known = await self._store.get(Guesses, id_)
            counted = guesses.failed(id_, known, now, allowed)
            if known is None:
                with suppress(DuplicateKeyError):  # another was first
                    await self._store.collection(Guesses).insert_one(to_document(counted))
                    return timedelta()
            elif left := guesses.wait(known, now, allowed):
                return left
            elif await self.replace(known, counted) is not None:
                return timedelta()

    async def forget_guess(self, id_: str) -> None:
        """One that was counted was none."""
        change = {"$inc": {"failures": -1, "version": 1}}
        await self._store.collection(Guesses).update_one({"_id": id_}, change)

    async def replace(self, old: Stored, new: Stored) -> Stored | None:
        """Return what is stored now, or None where somebody else changed it since `old` was read."""
        stored = msgspec.structs.replace(new, version=old.version + 1)
        replaced = await self._store.collection(type(old)).replace_one(
            {"_id": old.id, "version": old.version}, to_document(stored)
        )
        return stored if replaced.matched_count == 1 else None


class SigningKeys:
    def __init__(self, store: Store) -> None:
        self._keys = store.collection(SigningKey)

    async def all(self) -> list[SigningKey]:
        """The oldest first: ids count up."""
        keys = [from_document(SigningKey, document) async for document in self._keys.find()]
        return sorted(keys, key=lambda key: int(key.id))

    async def one(self, id_: str) -> SigningKey | None:
        found = await self._keys.find_one({"_id": id_})
        return None if found is None else from_document(SigningKey, found)

    async def add(self, key: SigningKey) -> bool:
        """Return whether the key was added; if not, another replica has made the one of this id."""
        try:
            await self._keys.insert_one(to_document(key))
        except DuplicateKeyError:
            return False
        return True

    async def replace(self, old: SigningKey, new: SigningKey) -> bool:
        """Return whether it was; if not, somebody else changed it since `old` was read."""
        stored = msgspec.structs.replace(new, version=old.version + 1)
        replaced = await self._keys.replace_one({"_id": old.id, "version": old.version}, to_document(stored))
        return replaced.matched_count == 1

    async def remove(self, keys: Sequence[SigningKey]) -> None:
        await self._keys.delete_many({"_id": {"$in": [key.id for key in keys]}})
