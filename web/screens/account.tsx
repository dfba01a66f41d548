import { Title } from '../parts/title.tsx'

export function AccountScreen() {
  return (
    <main class="screen">
      <Title text="Account" />
    </main>
  )
}
