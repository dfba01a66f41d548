import { type Static, Type } from '@sinclair/typebox'
import { maximum } from './limits.ts'
import { wellFormed } from './scalars.ts'
import { Email, PersonName } from './user.ts'

const Password = (minLength: number) =>
  Type.String({
    ...wellFormed,
    minLength,
    maxLength: maximum.passwordLength,
    description: 'any characters; compared in Unicode normal form C',
    examples: ['correct horse battery staple']
  })

export const SignUp = (passwordMinLength: number) =>
  Type.Object(
    { email: Email, password: Password(passwordMinLength), name: PersonName },
    { additionalProperties: false, description: 'The new account' }
  )

// A password too short for any account is a wrong one.
export const SignIn = Type.Object(
  { email: Email, password: Password(1) },
  { additionalProperties: false, description: 'The account' }
)
export type SignIn = Static<typeof SignIn>

export const PasswordChange = (passwordMinLength: number) =>
  Type.Object(
    { current: Password(1), next: Password(passwordMinLength) },
    { additionalProperties: false, description: 'The password so far and the next one' }
  )

/** What proves that it is the user who asks, and not who found their screen unlocked. */
export const PasswordProof = Type.Object(
  { password: Password(1) },
  { additionalProperties: false, description: 'The password, once more' }
)

export const AccessToken = Type.Object(
  {
    accessToken: Type.String({
      description: 'for `Authorization: Bearer`',
      examples: ['eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjFhMmIzYzRkIn0.eyJzdWIiOiI…']
    })
  },
  { title: 'AccessToken', description: 'An access token; the refresh token comes as a cookie' }
)
export type AccessToken = Static<typeof AccessToken>

const Uuid = Type.String({ pattern: '^[\\da-f]{8}-([\\da-f]{4}-){3}[\\da-f]{12}$' })

/** What an access token says, after RFC 9068. */
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
