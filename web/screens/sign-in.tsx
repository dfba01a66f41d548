import { Title } from '../parts/title.tsx'

export function SignInScreen() {
  return (
    <main class="screen narrow">
      <Title text="Sign in" />
    </main>
  )
}
