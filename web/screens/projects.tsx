import { useState } from 'preact/hooks'
import { client } from '../client.ts'
import { describeError } from '../errors.ts'
import { useForm } from '../form.ts'
import { Icon } from '../icons.tsx'
import { Button } from '../parts/button.tsx'
import { Empty, Loading, Notice } from '../parts/empty.tsx'
import { Field } from '../parts/field.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { Title } from '../parts/title.tsx'
import { href, navigate } from '../route.ts'
import { newProjects, projects, projectsError } from '../state.ts'
import { roleNames } from '../text.ts'

/** The projects of the user. A project that another user adds them to appears at once. */
export function ProjectsScreen() {
  const [isNew, setNew] = useState(false)
  const { value: rows } = projects
  const { value: error } = projectsError
  return (
    <main class="screen">
      <div class="screen-head">
        <Title text="Projects" />
        {rows && rows.length > 0 && (
          <Button kind="primary" icon="plus" onClick={() => setNew(true)}>
            New project
          </Button>
        )}
      </div>
      {error && !rows && <Notice kind="warning">{describeError(error)}</Notice>}
      {!rows && !error && <Loading label="Loading projects" />}
      {rows?.length === 0 && (
        <Empty icon="list" title="No projects yet">
          <p>
            Create one and add people by email; they see it at once. A project that others add you
            to appears here by itself.
          </p>
          <Button kind="primary" icon="plus" onClick={() => setNew(true)}>
            New project
          </Button>
        </Empty>
      )}
      {rows && rows.length > 0 && (
        <ul class="rows card">
          {rows.map(({ id, name, role }) => (
            <li key={id} class={newProjects.value.has(id) ? 'row is-new' : 'row'}>
              <a class="row-link" href={href.project(id)}>
                <bdi class="row-name">{name}</bdi>
                {newProjects.value.has(id) && <span class="badge">New</span>}
                <span class="soft small">{roleNames[role]}</span>
                <Icon name="next" />
              </a>
            </li>
          ))}
        </ul>
      )}
      {isNew && <NewProject onClose={() => setNew(false)} />}
    </main>
  )
}

function NewProject({ onClose }: { onClose: () => void }) {
  const form = useForm(async ({ name = '' }) => {
    const { id } = await client.createProject(name.trim())
    onClose()
    navigate(href.project(id))
  })
  return (
    <FormDialog title="New project" submit="Create project" {...{ form, onClose }}>
      <Field
        label="Name"
        name="name"
        autocomplete="off"
        required
        maxLength={200}
        placeholder="Summer fair"
        error={form.errors.name}
      />
    </FormDialog>
  )
}
