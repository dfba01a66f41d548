import { alertText, statusText } from './announce.ts'
import { Icon } from './icons.tsx'
import { ListScreen } from './list/index.tsx'
import { Avatar } from './parts/avatar.tsx'
import { Menu } from './parts/menu.tsx'
import { ConnectionPill } from './parts/pill.tsx'
import { Title } from './parts/title.tsx'
import { Toasts } from './parts/toast.tsx'
import { href, navigate, route } from './route.ts'
import { AccountScreen } from './screens/account.tsx'
import { ProjectScreen } from './screens/project.tsx'
import { ProjectsScreen } from './screens/projects.tsx'
import { SignInScreen } from './screens/sign-in.tsx'
import { StartScreen } from './screens/start.tsx'
import { SignOutQuestion, signOut } from './sign-out.tsx'
import { me, session } from './state.ts'
import { theme, themes } from './theme.ts'

export function App() {
  return (
    <>
      <Header />
      <Screen />
      <SignOutQuestion />
      <Toasts />
      <div class="visually-hidden" role="status">
        {statusText}
      </div>
      <div class="visually-hidden" role="alert">
        {alertText}
      </div>
    </>
  )
}

function Screen() {
  const { state } = session.value
  if (state === 'unknown') return <StartScreen />
  if (state === 'signed-out') return <SignInScreen />
  const now = route.value
  switch (now.name) {
    case 'projects':
      return <ProjectsScreen />
    case 'project':
      return <ProjectScreen key={now.id} id={now.id} />
    case 'list':
      return <ListScreen key={now.id} id={now.id} />
    case 'account':
      return <AccountScreen />
    case 'unknown':
      return <UnknownScreen />
  }
}

function UnknownScreen() {
  return (
    <main class="screen">
      <Title text="There is no such page" />
      <p>
        The address is not one of this service. <a href={href.projects()}>Show my projects</a>
      </p>
    </main>
  )
}

function Header() {
  const user = me.value
  return (
    <header class="header">
      <a class="brand" href={href.projects()} aria-label="Concord: my projects">
        <Mark />
        <span>Concord</span>
      </a>
      <ConnectionPill />
      {user && <AccountMenu id={user.id} name={user.name} />}
    </header>
  )
}

function Mark() {
  return (
    <span class="mark" aria-hidden="true">
      <Icon name="check" />
    </span>
  )
}

const themeNames = { system: 'Theme of the system', light: 'Light', dark: 'Dark' }

function AccountMenu({ id, name }: { id: string; name: string }) {
  return (
    <Menu
      label={`Account of ${name}`}
      class="account-menu"
      items={[
        { label: 'Account and sessions', icon: 'person', run: () => navigate(href.account()) },
        'line',
        ...themes.map(one => ({
          label: themeNames[one],
          isChecked: theme.value === one,
          run: () => {
            theme.value = one
          }
        })),
        'line',
        { label: 'Sign out', run: signOut }
      ]}
    >
      <Avatar id={id} name={name} />
    </Menu>
  )
}
