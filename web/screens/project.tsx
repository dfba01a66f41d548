import { useEffect, useRef, useState } from 'preact/hooks'
import type { Member, Project, ProjectHandle, Role } from '../../client/index.ts'
import { client } from '../client.ts'
import { describeError } from '../errors.ts'
import { useForm } from '../form.ts'
import { Icon } from '../icons.tsx'
import { Avatar } from '../parts/avatar.tsx'
import { Button } from '../parts/button.tsx'
import { Confirm } from '../parts/confirm.tsx'
import { Empty, Loading, Notice } from '../parts/empty.tsx'
import { Field, Select } from '../parts/field.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { Menu, type MenuItem } from '../parts/menu.tsx'
import { Time } from '../parts/time.tsx'
import { Title } from '../parts/title.tsx'
import { showFailure, showToast } from '../parts/toast.tsx'
import { useReadable } from '../readable.ts'
import { href, navigate } from '../route.ts'
import { markAsSeen, me, projects, projectsError } from '../state.ts'
import { isolate, plural, roleNames } from '../text.ts'

/** A project with its lists and members. */
export function ProjectScreen({ id }: { id: string }) {
  const rows = projects.value
  const project = rows?.find(row => row.id === id.toLowerCase())
  const last = useRef(project)
  if (project) last.current = project
  useEffect(() => markAsSeen(id), [id])

  // Without the service, the copy of the projects may be old.
  if (!rows || (!project && projectsError.value)) return <Unloaded />
  if (!project) return <NoProject name={last.current?.name} />
  return (
    <main class="screen">
      <Head project={project} />
      <Lists handle={client.project(id)} role={project.role} />
      <Members handle={client.project(id)} project={project} />
    </main>
  )
}

function Unloaded() {
  const { value: error } = projectsError
  return (
    <main class="screen">
      <BackLink />
      <Title text="Project" />
      {error ? (
        <Notice kind="warning">{describeError(error)}</Notice>
      ) : (
        <Loading label="Loading the project" />
      )}
    </main>
  )
}

function NoProject({ name }: { name?: string }) {
  return (
    <main class="screen">
      <BackLink />
      <Title text={name ?? 'No such project'} />
      <Notice>
        {name
          ? 'You are not a member of this project any more, or it was deleted.'
          : 'This project does not exist, or you are not a member of it. Its owners can add you by email.'}
      </Notice>
    </main>
  )
}

function BackLink() {
  return (
    <a class="back" href={href.projects()}>
      <Icon name="back" />
      Projects
    </a>
  )
}

type Open = 'rename' | 'delete' | 'leave' | null

function Head({ project: { id, name, role } }: { project: Project }) {
  const [open, setOpen] = useState<Open>(null)
  const handle = client.project(id)
  const close = () => setOpen(null)
  const ownerItems: (MenuItem | 'line')[] = [
    { label: 'Rename', icon: 'pencil', run: () => setOpen('rename') },
    'line',
    { label: 'Leave project', icon: 'person', run: () => setOpen('leave') },
    { label: 'Delete project', icon: 'trash', isDanger: true, run: () => setOpen('delete') }
  ]
  return (
    <>
      <BackLink />
      <div class="screen-head">
        <Title text={name} />
        <Menu
          label="Project actions"
          items={role === 'owner' ? ownerItems : ownerItems.slice(2, 3)}
        />
      </div>
      {open === 'rename' && <Rename handle={handle} name={name} onClose={close} />}
      {open === 'leave' && (
        <Confirm
          title={`Leave “${isolate(name)}”?`}
          action="Leave project"
          onClose={close}
          run={() => handle.removeMember(me.value?.id ?? '')}
          then={() => navigate(href.projects())}
        >
          You no longer see its lists. An owner can add you again.
        </Confirm>
      )}
      {open === 'delete' && (
        <Confirm
          title={`Delete “${isolate(name)}”?`}
          action="Delete project"
          onClose={close}
          run={() => handle.delete()}
          then={() => navigate(href.projects())}
        >
          All its lists are deleted for all members. This cannot be undone.
        </Confirm>
      )}
    </>
  )
}

interface RenameProps {
  handle: ProjectHandle
  name: string
  onClose: () => void
}

function Rename({ handle, name: before, onClose }: RenameProps) {
  const form = useForm(async ({ name = '' }) => {
    if (name.trim() !== before) await handle.rename(name.trim())
    onClose()
  })
  return (
    <FormDialog title="Rename project" submit="Rename" {...{ form, onClose }}>
      <Field
        label="Name"
        name="name"
        autocomplete="off"
        required
        maxLength={200}
        defaultValue={before}
        error={form.errors.name}
      />
    </FormDialog>
  )
}

function Lists({ handle, role }: { handle: ProjectHandle; role: Role }) {
  const rows = useReadable(handle.checklists)
  const failure = useReadable(handle.checklists.error)
  const { errors, error, isBusy, onSubmit } = useForm(async ({ title = '' }, form) => {
    const { id } = await handle.createChecklist(title.trim())
    form.reset()
    navigate(href.list(id))
  })
  return (
    <section class="section" aria-labelledby="lists">
      <h2 id="lists">Lists</h2>
      {!rows && !failure && <Loading label="Loading lists" />}
      {!rows && failure && <Notice kind="warning">{describeError(failure)}</Notice>}
      {rows?.length === 0 && (
        <Empty icon="list" title="No lists yet">
          <p>
            {role === 'viewer'
              ? 'Lists that owners and editors create appear here by themselves.'
              : 'Create the first one below. All members see it at once, and can edit it together.'}
          </p>
        </Empty>
      )}
      {rows && rows.length > 0 && (
        <ul class="rows card">
          {rows.map(({ id, title, updatedAt }) => (
            <li key={id} class="row">
              <a class="row-link" href={href.list(id)}>
                <Icon name="list" />
                <bdi class="row-name">{title}</bdi>
                <span class="soft small">
                  <Time value={updatedAt} />
                </span>
                <Icon name="next" />
              </a>
            </li>
          ))}
        </ul>
      )}
      {rows && role !== 'viewer' && (
        <form class="inline-form" onSubmit={onSubmit} noValidate>
          {error && <Notice kind="error">{error}</Notice>}
          <Field
            label="New list"
            name="title"
            autocomplete="off"
            required
            maxLength={200}
            placeholder="To buy"
            error={errors.title}
          />
          <Button type="submit" icon="plus" isBusy={isBusy}>
            Create list
          </Button>
        </form>
      )}
    </section>
  )
}

function Members({ handle, project }: { handle: ProjectHandle; project: Project }) {
  const rows = useReadable(handle.members)
  const failure = useReadable(handle.members.error)
  return (
    <section class="section" aria-labelledby="members">
      <h2 id="members">{rows ? plural(rows.length, '1 member', '# members') : 'Members'}</h2>
      {!rows && !failure && <Loading label="Loading members" />}
      {!rows && failure && <Notice kind="warning">{describeError(failure)}</Notice>}
      {rows && (
        <ul class="rows card">
          {rows.map(member => (
            <MemberRow key={member.userId} member={member} handle={handle} project={project} />
          ))}
        </ul>
      )}
      {rows && project.role === 'owner' && <AddMember handle={handle} />}
      {rows?.length === 1 && project.role === 'owner' && (
        <p class="soft">Add people by email; they see the project at once.</p>
      )}
    </section>
  )
}

interface MemberProps {
  member: Member
  handle: ProjectHandle
  project: Project
}

function MemberRow({ member, handle, project }: MemberProps) {
  const { userId, name, email, role } = member
  const [isLeaving, setLeaving] = useState(false)
  const isMe = userId === me.value?.id
  const isOwner = project.role === 'owner'
  return (
    <li class="row member">
      <Avatar id={userId} name={name} />
      <div class="member-name">
        <p>
          <bdi>{name}</bdi>
          {isMe && <span class="soft"> (you)</span>}
        </p>
        <p class="soft small">{email}</p>
      </div>
      {isOwner ? (
        <select
          class="select"
          aria-label={`Role of ${name}`}
          value={role}
          onChange={({ currentTarget }) => {
            const next = currentTarget.value as Role
            handle.setRole(userId, next).catch(error => {
              currentTarget.value = role
              showFailure(error)
            })
          }}
        >
          {Object.entries(roleNames).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      ) : (
        <span class="soft">{roleNames[role]}</span>
      )}
      {isOwner && !isMe && (
        <Menu
          label={`Actions for ${name}`}
          items={[
            {
              label: 'Remove from project',
              icon: 'trash',
              isDanger: true,
              run: () => setLeaving(true)
            }
          ]}
        />
      )}
      {isLeaving && (
        <Confirm
          title={`Remove ${isolate(name)}?`}
          action="Remove"
          onClose={() => setLeaving(false)}
          run={() => handle.removeMember(userId)}
          then={() => showToast(`${isolate(name)} was removed.`)}
        >
          <bdi>{name}</bdi> no longer sees “<bdi>{project.name}</bdi>”. What they wrote stays.
        </Confirm>
      )}
    </li>
  )
}

function AddMember({ handle }: { handle: ProjectHandle }) {
  const { errors, error, isBusy, onSubmit } = useForm(async ({ email = '', role }, form) => {
    const { name } = await handle.addMember(email.trim(), role as Role)
    form.reset()
    showToast(`${isolate(name)} was added.`)
  })
  return (
    <form class="inline-form" onSubmit={onSubmit} noValidate aria-label="Add a person">
      {error && <Notice kind="error">{error}</Notice>}
      <Field
        label="Add a person by email"
        name="email"
        type="email"
        inputMode="email"
        autocomplete="off"
        required
        placeholder="bob@example.com"
        error={errors.email}
      />
      <Select label="Role" name="role">
        <option value="editor">Editor</option>
        <option value="viewer">Viewer</option>
        <option value="owner">Owner</option>
      </Select>
      <Button type="submit" icon="plus" isBusy={isBusy}>
        Add
      </Button>
    </form>
  )
}
