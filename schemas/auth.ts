import { type Static, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'
import { wellFormed } from './scalars.ts'
import { Email, PersonName } from './user.ts'

const Password = (minLength: number) =>
  Type.String({
    ...wellFormed,
    minLength,
    maxLength: maximum.passwordLength,
    description: 'any characters; normalized to Unicode NFC before it is hashed',
    examples: ['correct horse battery staple']
  })

export const SignUp = (passwordMinLength: number) =>
  Type.Object(
    { email: Email, password: Password(passwordMinLength), name: PersonName },
    { additionalProperties: false, description: 'Data of a new account' }
  )

// The password has no minimum length here: the response to a short password is 401, as to any wrong password.
export const SignIn = Type.Object(
  { email: Email, password: Password(1) },
  { additionalProperties: false, description: 'Email and password of an account' }
)
export type SignIn = Static<typeof SignIn>

export const PasswordChange = (passwordMinLength: number) =>
  Type.Object(
    { current: Password(1), next: Password(passwordMinLength) },
    { additionalProperties: false, description: 'The current password and the new one' }
  )

/**
 * The current password. It proves that the request comes from the user, and not from another person who uses their
 * unlocked device.
 */
export const PasswordProof = Type.Object(
  { password: Password(1) },
  { additionalProperties: false, description: 'The current password, to confirm the request' }
)

export const AccessToken = Type.Object(
  {
    accessToken: Type.String({
      description: 'access token, to send as `Authorization: Bearer <accessToken>`',
      examples: ['eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjFhMmIzYzRkIn0.eyJzdWIiOiI…']
    })
  },
  {
    title: 'AccessToken',
    description: 'A new access token; the refresh token is in the cookie `refresh`'
  }
)
export type AccessToken = Static<typeof AccessToken>

const Uuid = Type.String({ pattern: '^[\\da-f]{8}-([\\da-f]{4}-){3}[\\da-f]{12}$' })

/** The claims of an access token (RFC 9068). */
export const AccessClaims = Type.Object({
  iss: Type.Literal('concord'),
  aud: Type.Literal('concord'),
  sub: Uuid,
  sid: Uuid,
  jti: Uuid,
  iat: Type.Integer(),
  exp: Type.Integer()
})
export type AccessClaims = Static<typeof AccessClaims>
