import { Title } from '../parts/title.tsx'

export function ProjectsScreen() {
  return (
    <main class="screen">
      <Title text="Projects" />
    </main>
  )
}
