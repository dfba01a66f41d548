"""Accounts and an event stream in the usual way of FastAPI: uvicorn with uvloop, asyncpg, PyJWT, argon2-cffi.

GET /users/me, POST /auth/signin and POST /auth/refresh do what the service does, with one or two queries each. GET
/events sends the bytes of the variable CHANGE to all streams when PostgreSQL notifies of a commit.
"""

import asyncio
import hashlib
import os
import secrets
import socket
import sys
import time
import uuid
from contextlib import asynccontextmanager

import argon2
import asyncpg
import jwt
import uvicorn
from fastapi import Cookie, Depends, FastAPI, Header, HTTPException, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

SECRET = os.environ["JWT_SECRET"]
CHANGE = os.environ.get("CHANGE", "").encode()
DAY = 86_400
hasher = argon2.PasswordHasher()
streams: set[asyncio.Queue] = set()


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], max_size=10)
    await app.state.pool.execute(
        "create table if not exists peer_sessions (token_hash bytea primary key,"
        " user_id uuid not null, expires_at timestamptz not null)"
    )
    listener = await asyncpg.connect(os.environ["DATABASE_URL"])
    await listener.add_listener("peer", on_notification)
    yield


app = FastAPI(lifespan=lifespan)


class Me(BaseModel):
    id: uuid.UUID
    name: str


class Account(BaseModel):
    """Without a password, a session is opened that only POST /auth/refresh is measured with."""

    email: str
    password: str | None = None


class AccessToken(BaseModel):
    accessToken: str


async def user_id(authorization: str = Header()) -> str:
    try:
        token = authorization.removeprefix("Bearer ")
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="concord", issuer="concord")
    except jwt.PyJWTError as error:
        raise HTTPException(401) from error
    return claims["sub"]


@app.get("/users/me")
async def me(user: str = Depends(user_id)) -> Me:
    row = await app.state.pool.fetchrow("select id, name from users where id = $1", user)
    if row is None:
        raise HTTPException(401)
    return Me(id=row["id"], name=row["name"])


@app.post("/auth/signin")
async def sign_in(account: Account, response: Response) -> AccessToken:
    row = await app.state.pool.fetchrow(
        "select id, password_hash from users where email = $1", account.email
    )
    if row is None:
        raise HTTPException(401)
    if account.password is not None:
        try:
            await asyncio.to_thread(hasher.verify, row["password_hash"], account.password)
        except argon2.exceptions.VerifyMismatchError as error:
            raise HTTPException(401) from error
    token = secrets.token_urlsafe(32)
    await app.state.pool.execute(
        "insert into peer_sessions values ($1, $2, now() + interval '7 days')",
        digest(token),
        row["id"],
    )
    return sign(response, row["id"], token)


@app.post("/auth/refresh")
async def refresh_session(response: Response, refresh: str = Cookie()) -> AccessToken:
    token = secrets.token_urlsafe(32)
    user = await app.state.pool.fetchval(
        "update peer_sessions set token_hash = $1, expires_at = now() + interval '7 days'"
        " where token_hash = $2 and expires_at > now() returning user_id",
        digest(token),
        digest(refresh),
    )
    if user is None:
        raise HTTPException(403)
    return sign(response, user, token)


@app.get("/events")
async def events(user: str = Depends(user_id)) -> StreamingResponse:
    return StreamingResponse(stream(), media_type="text/event-stream")


async def stream():
    queue: asyncio.Queue = asyncio.Queue()
    streams.add(queue)
    try:
        yield b"retry: 1000\n\n"
        while True:
            yield await queue.get()
    finally:
        streams.discard(queue)


def on_notification(_connection, _pid, _channel, payload: str):
    for _ in range(int(payload)):
        for queue in streams:
            queue.put_nowait(CHANGE)


def sign(response: Response, user: uuid.UUID, refresh: str) -> AccessToken:
    response.set_cookie(
        "refresh", refresh, max_age=7 * DAY, httponly=True, secure=True, samesite="strict"
    )
    now = int(time.time())
    claims = {"iss": "concord", "aud": "concord", "sub": str(user), "sid": str(uuid.uuid4())}
    claims |= {"jti": str(uuid.uuid4()), "iat": now, "exp": now + 900}
    return AccessToken(accessToken=jwt.encode(claims, SECRET, algorithm="HS256"))


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(f"Peer http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="warning", access_log=False)
    try:
        Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        sys.exit()
