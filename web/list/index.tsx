import { Title } from '../parts/title.tsx'

export function ListScreen({ id }: { id: string }) {
  return (
    <main class="screen" key={id}>
      <Title text="List" />
    </main>
  )
}
