// What the doctor finds, in Portuguese.

import type { Findings } from './findings.ts';

export const findings: Findings = {
  'b-frames': {
    title: {
      by: 'mending',
      forms: {
        here: 'Seu vídeo usa quadros B e é recodificado aqui',
        other: 'Seu vídeo usa quadros B',
      },
    },
    detail: {
      by: 'mending',
      forms: {
        here: 'Este servidor recodifica sua imagem para que o público possa assistir pela via mais rápida, WebRTC, que não transporta quadros B. Custa cerca de {delay_ms} ms de atraso, um pouco de qualidade e muito do processador do servidor.',
        busy: 'O público não consegue assistir pela via mais rápida, WebRTC, que não transporta quadros B: recebe outra versão, um segundo ou mais atrasada. Este servidor não consegue recodificá-lo: já recodifica tantas transmissões quantas pode.',
        fails:
          'O público não consegue assistir pela via mais rápida, WebRTC, que não transporta quadros B: recebe outra versão, um segundo ou mais atrasada. Este servidor não consegue recodificá-lo: o recodificador falha.',
        slow: 'O público não consegue assistir pela via mais rápida, WebRTC, que não transporta quadros B: recebe outra versão, um segundo ou mais atrasada. Este servidor não consegue recodificá-lo: é lento demais para isso.',
        other:
          'O público não consegue assistir pela via mais rápida, WebRTC, que não transporta quadros B: recebe outra versão, um segundo ou mais atrasada.',
      },
    },
    remedy:
      'No OBS: em Configurações › Saída, defina o modo de saída como Avançado e os quadros B como 0; o codificador x264 não mostra isso: defina ali a sintonia (Tune) como zerolatency. Depois pare e inicie a transmissão. No ffmpeg: -bf 0.',
  },
  'keyframes-far': {
    title: 'Seus keyframes chegam só a cada {seconds} segundos',
    detail:
      'Quem entra ou volta atrás espera mais pela primeira imagem, e quando um pedaço da imagem se perde no caminho, ela fica quebrada por até esse tempo.',
    remedy:
      'No OBS: em Configurações › Saída, defina o modo de saída como Avançado e o intervalo de keyframes como 2 s. Depois pare e inicie a transmissão. No ffmpeg, a 30 quadros por segundo: -g 60.',
  },
  'keyframes-irregular': {
    title:
      'Seus keyframes chegam de forma irregular, a cada {shortest_seconds} a {longest_seconds} segundos',
    detail:
      'Cada keyframe a mais é um pacote grande de dados que faz a imagem travar em conexões lentas. Quem assiste por HTTP pode ver os comentários com atraso.',
    remedy:
      'No OBS: em Configurações › Saída, defina o modo de saída como Avançado e o intervalo de keyframes como 2 s; com o codificador x264, escreva scenecut=0 nas opções do x264. Depois pare e inicie a transmissão. No ffmpeg, a 30 quadros por segundo: -g 60 -sc_threshold 0.',
  },
  'frame-rate-drop': {
    title: 'Seu vídeo caiu de {usual_fps} para {fps} quadros por segundo',
    detail: 'O público vê a imagem travando; o que você diz continua.',
    remedy:
      'Seu computador tem coisas demais para fazer. Feche outros programas. No OBS: veja em Exibir › Estatísticas; em Configurações › Vídeo escolha uma resolução de saída (escalonada) menor ou 30 FPS, e em Configurações › Saída um codificador de hardware ou, com x264, a predefinição de uso da CPU ultrafast. No ffmpeg: -preset ultrafast ou um -s menor.',
  },
  'bitrate-drop': {
    title: 'Seu vídeo caiu de {usual_kbps} para {kbps} kbit/s',
    detail: 'O público vê a imagem borrada ou em blocos; não dá para ler letras pequenas.',
    remedy:
      'Sua conexão com a internet ficou lenta demais para o que você envia. Use um cabo em vez de Wi-Fi e pare outros envios. No OBS: em Configurações › Saída, defina uma taxa de bits que a sua conexão aguente o tempo todo. No ffmpeg: valores menores de -b:v e -maxrate.',
  },
  'video-missing': {
    title: 'Não há imagem, só som',
    detail: 'O público ouve você e não vê nada.',
    remedy:
      'Se você queria enviar imagem: no OBS, veja se a prévia mostra alguma, depois pare e inicie a transmissão. No ffmpeg: dê uma entrada de vídeo, e nada de -vn.',
  },
  'video-stopped': {
    title: 'A imagem parou',
    detail: 'O público ouve você e vê uma imagem parada, ou o player fica esperando.',
    remedy:
      'No OBS: veja se a prévia ainda se mexe, depois pare e inicie a transmissão; se voltar a acontecer, escolha outro codificador de vídeo em Configurações › Saída. No ffmpeg: leia o que ele diz da entrada de vídeo.',
  },
  'audio-missing': {
    title: 'Não há som, só imagem',
    detail: 'O público vê você e não ouve nada.',
    remedy:
      'No OBS: escolha seu microfone em Configurações › Áudio como Áudio do microfone/auxiliar. No ffmpeg: dê uma entrada de áudio e -c:a aac, e nada de -an.',
  },
  'audio-stopped': {
    title: 'O som parou',
    detail: 'O público vê você e não ouve mais nada, ou o player fica esperando.',
    remedy:
      'No OBS: veja se o microfone continua conectado e se a barra dele se mexe no mixer de áudio, depois pare e inicie a transmissão. No ffmpeg: leia o que ele diz da entrada de áudio.',
  },
  'nothing-arrives': {
    title: 'Nada chega do seu codificador',
    detail: 'A imagem está parada e não há som.',
    remedy:
      'Verifique sua conexão com a internet. No OBS: se o quadrado na parte de baixo da janela estiver vermelho, pare e inicie a transmissão. No ffmpeg: veja se ele ainda conta quadros, e inicie-o de novo.',
  },
  'audio-silent': {
    title: 'Seu som está mudo',
    detail: 'O público não ouve absolutamente nada, nem a sala.',
    remedy:
      'Veja se o seu microfone está ligado. No OBS: no mixer de áudio a barra dele precisa se mexer quando você fala, e o alto-falante ao lado não pode estar vermelho (mudo); escolha o microfone certo em Configurações › Áudio. No ffmpeg: verifique a entrada de áudio.',
  },
  'audio-clipping': {
    title: 'Seu som está alto demais e distorce',
    detail: 'O público ouve estalos e uma voz áspera.',
    remedy:
      'Abaixe o microfone onde ele entra no computador (o ganho no microfone ou na mesa, ou o volume nas configurações do sistema). No OBS: puxe o controle no mixer de áudio para a esquerda até a barra não chegar mais ao vermelho quando você fala. No ffmpeg: -af volume=-10dB, se o som já não vier distorcido.',
  },
  'audio-drift': {
    title: 'O relógio do seu som está {percent} % fora',
    detail:
      'O público ouve pequenas falhas ou cortes no som repetidas vezes, e por momentos a voz se separa dos lábios.',
    remedy:
      'Defina a mesma taxa de amostragem em tudo, de preferência 48 kHz: nas configurações do microfone no sistema e, no OBS, em Configurações › Áudio; depois pare e inicie a transmissão. No ffmpeg: -af aresample=async=1000, e nenhum filtro que mude só os tempos do som.',
  },
  'av-apart': {
    title: {
      by: 'late',
      forms: {
        sound: 'Seu som chega {seconds} s atrasado',
        picture: 'Sua imagem chega {seconds} s atrasada',
        other: 'Seu som e sua imagem chegam com {seconds} s de diferença',
      },
    },
    detail:
      'O player espera por isso, e o público fica esse tanto mais atrás de você, ou a voz não combina com os lábios.',
    remedy:
      'No OBS: em Editar › Propriedades avançadas de áudio, defina o ajuste de sincronização como 0, e a mesma taxa de amostragem, de preferência 48 kHz, no microfone e em Configurações › Áudio; depois pare e inicie a transmissão. No ffmpeg: nada de -itsoffset, e -thread_queue_size 512 antes de cada entrada ao vivo.',
  },
  'clock-jump': {
    title: {
      by: 'jumps',
      forms: {
        one: 'O relógio do seu codificador deu um salto',
        other: 'O relógio do seu codificador deu {jumps} saltos',
      },
    },
    detail:
      'O público viu a imagem parar por um instante ou algo ser cortado, e talvez desde então a voz não combine com os lábios.',
    remedy:
      'No OBS: pare e inicie a transmissão; se voltar a acontecer, feche o OBS e abra de novo. No ffmpeg: codifique o que você repassa (não -c copy) se for um arquivo que recomeça ou a transmissão de outra pessoa, ou ponha -fflags +genpts antes da entrada.',
  },
  'arrival-jitter': {
    title: 'Sua transmissão chega aos trancos, até {seconds} s atrasada',
    detail:
      'O público vê a imagem parar e depois correr; para se proteger, os players ficam mais atrás do ao vivo.',
    remedy:
      'Use um cabo em vez de Wi-Fi e pare outros envios. No OBS: defina uma taxa de bits menor em Configurações › Saída e marque em Configurações › Avançado a mudança dinâmica da taxa de bits em caso de congestionamento. No ffmpeg: -maxrate igual a -b:v, e um -bufsize da metade.',
  },
  'encoder-slow': {
    title: 'Sua transmissão fica cada vez mais atrasada',
    detail: 'O público vê você cada vez mais tarde, e de vez em quando a imagem salta.',
    remedy:
      'Seu computador ou sua conexão com a internet é lento demais para o que você envia. No OBS: veja em Exibir › Estatísticas. Se quadros se perdem na codificação, escolha em Configurações › Saída um codificador de hardware ou, com x264, a predefinição de uso da CPU ultrafast; se na rede, defina ali uma taxa de bits menor e use um cabo em vez de Wi-Fi. No ffmpeg: -preset ultrafast, ou -s e -b:v menores, até ele dizer speed=1x.',
  },
  'encoder-fast': {
    title: 'Sua transmissão anda mais rápido que o tempo',
    detail: 'O público vê a imagem travando, e a conexão é encerrada quando ela se adianta demais.',
    remedy:
      'No OBS: pare e inicie a transmissão; se voltar a acontecer, defina a mesma taxa de amostragem, de preferência 48 kHz, no microfone e em Configurações › Áudio. No ffmpeg: ponha -re antes da entrada se for um arquivo.',
  },
  'video-profile': {
    title: 'O perfil H.264 do seu vídeo, {profile}, não pode ser reproduzido em todo lugar',
    detail:
      'A maioria ouve você e não vê nada: navegadores e celulares reproduzem só os perfis Baseline, Main e High.',
    remedy:
      'No OBS: em Configurações › Saída, defina o modo de saída como Avançado e o perfil como high; e em Configurações › Avançado, o formato de cor como NV12. Depois pare e inicie a transmissão. No ffmpeg: -pix_fmt yuv420p -profile:v high.',
  },
  'video-interlaced': {
    title: 'Seu vídeo é entrelaçado',
    detail:
      'Alguns veem pentes nas bordas de tudo o que se mexe, outros não veem imagem: navegadores e celulares são feitos para imagens inteiras.',
    remedy:
      'Ponha a câmera ou a placa de captura em um formato progressivo, como 1080p em vez de 1080i. No OBS: clique com o botão direito na fonte, Desentrelaçamento › Yadif. No ffmpeg: -vf yadif, e nada de -flags +ilme+ildct. Em um codificador de hardware: ponha em progressivo.',
  },
  'video-beyond-phones': {
    title: {
      by: 'width',
      forms: {
        none: 'Seu vídeo, a {fps} quadros por segundo, é mais rápido do que os celulares conseguem reproduzir',
        other: 'Sua imagem, de {width}x{height}, é maior do que os celulares conseguem reproduzir',
      },
    },
    detail: 'Celulares e computadores mais antigos podem travar, esquentar ou não mostrar imagem.',
    remedy:
      'No OBS: em Configurações › Vídeo, defina a resolução de saída (escalonada) como 1920x1080 ou menos, e os FPS como 30 ou 60. No ffmpeg: -s 1920x1080 -r 30.',
  },
  'audio-he-aac': {
    title: 'Seu som está codificado como {profile}',
    detail:
      'Por WebRTC ele soa abafado, como através de uma parede, porque por ali só chega a metade grave dele.',
    remedy:
      'Ponha o áudio do codificador em AAC-LC, muitas vezes chamado só de AAC, com 96 kbit/s ou mais. No OBS: em Configurações › Saída, defina o modo de saída como Avançado e, na aba Áudio, a taxa de bits como 128 ou mais. No ffmpeg: -c:a aac -b:a 128k, sem -profile:a.',
  },
  'audio-surround': {
    title: 'Seu som tem {channels} canais, que não podem ser transmitidos',
    detail: 'O público vê você e não ouve nada.',
    remedy:
      'No OBS: em Configurações › Áudio, defina os canais como Estéreo. Depois pare e inicie a transmissão. No ffmpeg: -ac 2.',
  },
  'video-refused': {
    title: {
      by: 'codec',
      forms: {
        'H.264': 'Seu vídeo H.264 não pode ser usado como está',
        other: 'Seu codificador envia {codec}, não H.264',
      },
    },
    detail: 'O público não vê nem ouve nada: a transmissão não foi aceita.',
    remedy:
      'No OBS: em Configurações › Saída, defina o modo de saída como Avançado e escolha um codificador de vídeo que tenha H.264 no nome, ou x264. No ffmpeg: -c:v libx264.',
  },
  'audio-refused': {
    title: 'Seu codificador não envia o som em AAC-LC ({codec})',
    detail: 'O público não vê nem ouve nada: a transmissão não foi aceita.',
    remedy:
      'No OBS: em Configurações › Saída, defina o modo de saída como Avançado e o codificador de áudio como AAC. No ffmpeg: -c:a aac -ac 2.',
  },
  'encoder-refused': {
    title: 'Seu codificador envia de um jeito que não é entendido aqui',
    detail: 'O público não vê nem ouve nada: a transmissão não foi aceita.',
    remedy:
      'Escolha RTMP simples com H.264 e AAC, uma imagem e um som. No OBS: em Configurações › Transmissão, escolha o serviço “Personalizado” e desmarque o vídeo multifaixa, e em Configurações › Saída escolha uma só faixa de áudio. No ffmpeg: -f flv, e com -map um fluxo de vídeo e um de áudio.',
  },
};
