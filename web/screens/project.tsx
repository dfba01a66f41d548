import { Title } from '../parts/title.tsx'

export function ProjectScreen({ id }: { id: string }) {
  return (
    <main class="screen" key={id}>
      <Title text="Project" />
    </main>
  )
}
