import { type Static, Type } from '@sinclair/typebox'
import { Id, Nullable, OneOf, Timestamp } from './scalars.ts'

export const ConnectionsParams = Type.Object({ userId: Id('user whose connections are listed') })

export const ConnectionsHeaders = Type.Object({
  'x-concord-operator': Type.Optional(
    Type.String({
      maxLength: 200,
      description:
        'token that `npm run explain` computes from JWT_SECRET; valid for one user and a minute',
      examples: ['0Zv1hQbN.1764325000.5l9o…']
    })
  )
})

const State = OneOf(['catching_up', 'live', 'lagging', 'closed'], {
  description: 'state of the subscriber',
  examples: ['live']
})

const connection = {
  sessionId: Id('session with which the client connected'),
  openedAt: Timestamp('time of the connection'),
  state: State,
  bufferedBytes: Type.Integer({
    minimum: 0,
    description: 'bytes written to the connection that the operating system has not taken yet',
    examples: [0]
  })
}

export const OpenStream = Type.Object(
  {
    ...connection,
    position: Nullable(
      Type.Integer({
        description:
          'every event of the user up to this position was written; null before the first event',
        examples: [812]
      })
    ),
    projects: Nullable(
      Type.Array(Id('a project'), {
        description: 'the projects that the client asked for; null for all',
        examples: [null]
      })
    )
  },
  { additionalProperties: false, description: 'An open stream of a user' }
)
export type OpenStream = Static<typeof OpenStream>

export const OpenSocket = Type.Object(
  {
    ...connection,
    checklists: Type.Array(
      Type.Object(
        {
          checklistId: Id('checklist that the socket has open'),
          state: State,
          rev: Nullable(
            Type.Integer({
              description:
                'every change up to this revision was written; null before the first snapshot',
              examples: [17]
            })
          )
        },
        { additionalProperties: false, description: 'A checklist that a socket has open' }
      ),
      { description: 'the checklists that the socket has open' }
    )
  },
  { additionalProperties: false, description: 'An open socket of a user' }
)
export type OpenSocket = Static<typeof OpenSocket>

/** The connections of one process of a node. */
export const ProcessConnections = Type.Object(
  {
    pid: Type.Integer({ description: 'id of the process', examples: [4711] }),
    epoch: Type.String({ description: 'epoch of the log', examples: ['a5426ff120a6'] }),
    deliveredHead: Type.Integer({
      description: 'newest position that this process has delivered',
      examples: [812]
    }),
    streams: Type.Array(OpenStream, { description: 'the open streams of the user' }),
    sockets: Type.Array(OpenSocket, { description: 'the open sockets of the user' })
  },
  { additionalProperties: false, description: 'The connections of a user to one process of a node' }
)
export type ProcessConnections = Static<typeof ProcessConnections>

export const Connections = Type.Object(
  {
    processes: Type.Array(ProcessConnections, {
      description: 'one entry for each process of the node that serves clients'
    }),
    missing: Type.Integer({
      minimum: 0,
      description: 'number of workers that did not respond',
      examples: [0]
    })
  },
  { additionalProperties: false, description: 'The connections of a user to this node' }
)
export type Connections = Static<typeof Connections>
